"""What is kept for how long. One function for each statement in sql/queries/retention.sql."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

RETENTION = statements("retention")
Conn = AsyncConnection[Any]


async def rules(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, RETENTION["rules"])


async def put(
    conn: Conn,
    type: str | None,
    state: str,
    *,
    keep_for: timedelta,
    keep_last: int | None,
    by: str,
) -> Row | None:
    return await fetch_row(
        conn,
        RETENTION["put"],
        type=type,
        state=state,
        keep_for=keep_for,
        keep_last=keep_last,
        by=by,
    )


async def delete(conn: Conn, rule: int) -> bool:
    return bool(await fetch_column(conn, RETENTION["delete"], id=rule))


async def details(conn: Conn) -> Row | None:
    return await fetch_row(conn, RETENTION["details"])


async def keep_details(conn: Conn, keep_for: timedelta | None, *, by: str) -> None:
    await execute(conn, RETENTION["keep_details"], keep_for=keep_for, by=by)


async def look_again(conn: Conn, state: str) -> None:
    await execute(conn, RETENTION["look_again"], state=state)


async def state_of(conn: Conn, rule: int) -> str | None:
    found: str | None = await fetch_value(conn, RETENTION["state_of"], id=rule)
    return found


async def remember(
    conn: Conn, rule: int, updated_at: datetime | None, *, seen: UUID, again: UUID
) -> None:
    await execute(
        conn, RETENTION["remember"], id=rule, updated_at=updated_at, seen=seen, again=again
    )


async def nth(conn: Conn, type: str, state: str, last: int, *, most: int) -> UUID | None:
    found: UUID | None = await fetch_value(
        conn, RETENTION["nth"], type=type, state=state, last=last, most=most
    )
    return found


async def look_at_state(
    conn: Conn,
    state: str,
    *,
    others: Sequence[str],
    keep_for: timedelta,
    after: UUID,
    until: UUID,
    limit: int,
) -> list[Row]:
    return await fetch_rows(
        conn,
        RETENTION["look_at_state"],
        state=state,
        others=list(others),
        keep_for=keep_for,
        after=after,
        until=until,
        limit=limit,
    )


async def look_at_type(
    conn: Conn,
    type: str,
    state: str,
    *,
    keep_for: timedelta,
    after: UUID,
    until: UUID,
    limit: int,
) -> list[Row]:
    return await fetch_rows(
        conn,
        RETENTION["look_at_type"],
        type=type,
        state=state,
        keep_for=keep_for,
        after=after,
        until=until,
        limit=limit,
    )


async def wait_for_no_disk(conn: Conn) -> None:
    await execute(conn, RETENTION["wait_for_no_disk"])


async def remove(conn: Conn, ids: Sequence[UUID]) -> int:
    return await execute(conn, RETENTION["remove"], ids=list(ids))


async def horizon(conn: Conn, keep_for: timedelta) -> date:
    found: date = await fetch_value(conn, RETENTION["horizon"], keep_for=keep_for)
    return found


async def drop_partitions(conn: Conn, before: date) -> int:
    dropped: int = await fetch_value(conn, RETENTION["drop_partitions"], before=before)
    return dropped


async def forget_unparted(conn: Conn, before: date, limit: int) -> int:
    gone: int = await fetch_value(conn, RETENTION["forget_unparted"], before=before, limit=limit)
    return gone


async def terms(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, RETENTION["terms"])


async def keep(conn: Conn, what: str, keep_for: timedelta | None, *, by: str) -> Row | None:
    return await fetch_row(conn, RETENTION["keep"], what=what, keep_for=keep_for, by=by)


async def forget_ticks(conn: Conn, keep: timedelta, limit: int) -> int:
    return await execute(conn, RETENTION["forget_ticks"], keep=keep, limit=limit)


async def forget_backfills(conn: Conn, keep: timedelta, limit: int) -> int:
    return await execute(conn, RETENTION["forget_backfills"], keep=keep, limit=limit)


async def forget_rollups(conn: Conn, keep: timedelta, limit: int) -> int:
    return await execute(conn, RETENTION["forget_rollups"], keep=keep, limit=limit)


async def forget_attempt_rollups(conn: Conn, keep: timedelta, limit: int) -> int:
    return await execute(conn, RETENTION["forget_attempt_rollups"], keep=keep, limit=limit)


async def forget_audit(conn: Conn, keep: timedelta, limit: int) -> int:
    gone: int = await fetch_value(conn, RETENTION["forget_audit"], keep=keep, limit=limit)
    return gone


async def idle_places(conn: Conn, after: str, limit: int) -> list[str]:
    return await fetch_column(conn, RETENTION["idle_places"], after=after, limit=limit)


async def lock_places(conn: Conn) -> None:
    await execute(conn, RETENTION["lock_places"])


async def forget_places(conn: Conn, keys: Sequence[str]) -> int:
    return await execute(conn, RETENTION["forget_places"], keys=list(keys))
