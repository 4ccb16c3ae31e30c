"""Steps that happen once: their effects and the record of their result are one transaction."""

import json
from typing import Any

from procession.workflows.calls import Begin, Told
from procession.workflows.values import keepable

# It refuses attempts that are over, so a program that is not the one any more commits nothing.
CHECKPOINT = "select checkpoint_step(%s, %s, %s, %s, %s)"


async def in_transaction(begin: Begin, told: Told) -> Any:
    work = begin.work
    async with work.step.connect() as connection, connection.transaction():
        output = await work.step.function(connection, *work.args, **work.kwargs)
        kept = json.dumps(keepable(output, f"the output of {begin.name}"))
        if told.proof is not None:
            await connection.execute(
                CHECKPOINT, (told.attempt, told.proof, begin.seq, begin.name, kept)
            )
    return output
