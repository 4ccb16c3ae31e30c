"""What is sent to the database while somebody looks at something."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import AsyncCursor

from ui import attention
from ui.pages import insights, now

# What the server does by itself meanwhile, for workstations, is not for who looks.
BESIDE = ("workstations", "calls", "call ")


def is_for_a_page(query: Any) -> bool:
    """The pool asks with nothing whether a connection lives."""
    task = asyncio.current_task()
    return bool(str(query)) and not (task and task.get_name().startswith(BESIDE))


@contextmanager
def counted() -> Iterator[list[str]]:
    """Every statement that is sent, also those of figures that are looked up for all at once."""
    for each in (attention.LATENESS, insights.FIGURES, now.DAY):
        each.forget()
    sent: list[str] = []
    execute = AsyncCursor.execute

    async def counting(self: Any, query: Any, *more: Any, **how: Any) -> Any:
        if is_for_a_page(query):
            sent.append(str(query))
        return await execute(self, query, *more, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncCursor, "execute", counting)
        yield sent
