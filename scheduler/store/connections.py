"""Connections that already speak our types, as the role `app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

from psycopg import AsyncConnection, conninfo
from psycopg.types.enum import EnumInfo, register_enum
from psycopg_pool import AsyncConnectionPool

from scheduler.domain.states import AttemptState, Reason, RunState, TaskState
from sql.statements import statements

CONNECTIONS = statements("connections")

ENUMS: dict[str, type[StrEnum]] = {
    "run_state": RunState,
    "task_state": TaskState,
    "attempt_state": AttemptState,
    "wait_reason": Reason,
}

# A process that is stopped in the middle of a transaction must not keep its locks.
ALWAYS = "-c role=app -c idle_in_transaction_session_timeout=10s"

# The engine's statements have one good plan each, by index; with these settings it is the only
# one, whatever the statistics say or lack.
ENGINE_OPTIONS = (
    "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off"
    " -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"
)

# A process of ours that was stopped within a transaction must not keep a run locked until it goes
# on: what it had not committed is undone, and others take over.
FORSAKEN = "-c idle_in_transaction_session_timeout=10s"


def as_app(url: str, *, name: str, options: str = "") -> str:
    """The same database as the role that everything but a migration runs as."""
    given = conninfo.conninfo_to_dict(url)
    merged = f"{given.get('options') or ''} -c role=app {FORSAKEN} {options}".strip()
    defaults: dict[str, Any] = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "application_name": f"procession {name}",
    }
    return conninfo.make_conninfo(**{**defaults, **given, "options": merged})


async def teach_types(conn: AsyncConnection[Any]) -> None:
    for name, oid, array_oid in await types(conn):
        if oid is None or array_oid is None:
            raise LookupError(f"the database has no type {name}: run `procession migrate`")
        states = ENUMS[name]
        info = EnumInfo(name, oid, array_oid, list(states))
        register_enum(info, conn, states, mapping=[(state, state.value) for state in states])
    if not conn.autocommit:
        await conn.commit()


async def types(conn: AsyncConnection[Any]) -> list[tuple[str, int | None, int | None]]:
    """All at once, as each connection asks for them."""
    names = {"names": list(ENUMS)}
    cursor = await conn.execute(CONNECTIONS["types"], names, prepare=False)
    return await cursor.fetchall()


async def connect(url: str, *, name: str, engine: bool = False) -> AsyncConnection[Any]:
    """An autocommit connection; with `engine`, tuned for the statements of the task plane."""
    options = ENGINE_OPTIONS if engine else ""
    conn = await AsyncConnection.connect(
        as_app(url, name=name, options=options), autocommit=True, prepare_threshold=0
    )
    try:
        await teach_types(conn)
    except BaseException:
        await conn.close()
        raise
    return conn


@asynccontextmanager
async def open_pool(
    url: str, *, name: str, size: int = 8, options: str = "", patience: float = 1.5
) -> AsyncIterator[AsyncConnectionPool[AsyncConnection[Any]]]:
    pool = AsyncConnectionPool[AsyncConnection[Any]](
        as_app(url, name=name, options=options),
        min_size=1,
        max_size=size,
        timeout=patience,
        kwargs={"autocommit": True},
        configure=teach_types,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    async with pool:
        yield pool
