"""What is sent to the database while somebody looks at something."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import AsyncCursor

from ui import attention
from ui.pages import insights, now


@contextmanager
def counted() -> Iterator[list[str]]:
    """Every statement that is sent, also those of figures that are looked up for all at once."""
    for each in (attention.LATENESS, insights.FIGURES, now.DAY):
        each.forget()
    sent: list[str] = []
    execute = AsyncCursor.execute

    async def counting(self: Any, query: Any, *more: Any, **how: Any) -> Any:
        if str(query):  # the pool asks with nothing whether a connection lives
            sent.append(str(query))
        return await execute(self, query, *more, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncCursor, "execute", counting)
        yield sent
