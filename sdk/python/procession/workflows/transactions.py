"""Steps that happen once: their effects and the record of their result are one transaction."""

import json
from typing import Any

from procession.workflows.calls import Begin, Told
from procession.workflows.errors import Doubtful
from procession.workflows.values import keepable

# It refuses attempts that are over, so a program that is not the one any more commits nothing.
CHECKPOINT = "select checkpoint_step(%s, %s, %s, %s, %s)"


async def in_transaction(begin: Begin, told: Told) -> Any:
    work, is_kept = begin.work, False
    try:
        async with work.step.connect() as connection, connection.transaction():
            output = await work.step.function(connection, *work.args, **work.kwargs)
            kept = json.dumps(keepable(output, f"the output of {begin.name}"))
            if told.proof is not None:
                is_kept = True
                await connection.execute(
                    CHECKPOINT, (told.attempt, told.proof, begin.seq, begin.name, kept)
                )
    except Exception as error:
        if is_kept and not is_refused(error):
            raise Doubtful(f"{begin.name}: {error}") from error
        raise
    return output


def is_refused(error: Exception) -> bool:
    """Whether the database has said that it keeps nothing of it, or that nobody may."""
    state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and state not in DONE_ALREADY


# A try before this one was committed after all, and nobody heard of it.
DONE_ALREADY = ("23505",)
