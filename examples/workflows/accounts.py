"""Steps that happen once: their effect and the record of it are one transaction."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from procession.workflows import step, workflow

Connection = AsyncConnection[Any]


@asynccontextmanager
async def connect() -> AsyncIterator[Connection]:
    """The database of Procession itself, where `accounts (name, cents)` is a table of ours."""
    async with await AsyncConnection.connect(os.environ["ACCOUNTS_URL"]) as connection:
        yield connection


@step(transaction=connect)
async def book(connection: Connection, account: str, cents: int) -> int:
    cursor = await connection.execute(
        "insert into accounts values (%s, %s) on conflict (name)"
        " do update set cents = accounts.cents + excluded.cents returning cents",
        [account, cents],
    )
    [left] = await cursor.fetchone() or [0]
    return int(left)


@workflow
async def transfer(source: str, target: str, cents: int, times: int = 1) -> None:
    """However often its program dies, what leaves the one account comes to the other, once."""
    for _ in range(times):
        await book(source, -cents)
        await book(target, cents)
