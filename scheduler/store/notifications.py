"""Who is told of what. One function for each statement in sql/queries/notifications.sql, but for
those that find what a rule speaks of: `found` carries out the one of its event."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

NOTIFICATIONS = statements("notifications")
Conn = AsyncConnection[Any]


async def create_channel(
    conn: Conn, name: str, *, kind: str, config: dict[str, Any], secret: str | None, by: str
) -> Row | None:
    return await fetch_row(
        conn,
        NOTIFICATIONS["create_channel"],
        name=name,
        kind=kind,
        config=Jsonb(config),
        secret=secret,
        by=by,
    )


async def channels(conn: Conn, name: str | None = None) -> list[Row]:
    return await fetch_rows(conn, NOTIFICATIONS["channels"], name=name)


async def change_channel(
    conn: Conn,
    name: str,
    *,
    kind: str,
    config: dict[str, Any],
    secret: str | None,
    expected: int | None,
) -> bool:
    """False if there is none of that name and version."""
    found = await fetch_column(
        conn,
        NOTIFICATIONS["change_channel"],
        name=name,
        kind=kind,
        config=Jsonb(config),
        secret=secret,
        expected=expected,
    )
    return bool(found)


async def delete_channel(conn: Conn, name: str) -> bool:
    return bool(await fetch_column(conn, NOTIFICATIONS["delete_channel"], name=name))


async def create_rule(conn: Conn, rule: dict[str, Any], *, by: str) -> int | None:
    made: int | None = await fetch_value(conn, NOTIFICATIONS["create_rule"], **rule, by=by)
    return made


async def rules(conn: Conn, name: str | None = None) -> list[Row]:
    return await fetch_rows(conn, NOTIFICATIONS["rules"], name=name)


async def change_rule(conn: Conn, rule: dict[str, Any], *, expected: int | None) -> bool:
    """False if there is none of that name and version."""
    return bool(await fetch_column(conn, NOTIFICATIONS["change_rule"], **rule, expected=expected))


async def rule_of_tests(conn: Conn) -> int:
    found: int = await fetch_value(conn, NOTIFICATIONS["rule_of_tests"])
    return found


async def delete_rule(conn: Conn, name: str) -> bool:
    return bool(await fetch_column(conn, NOTIFICATIONS["delete_rule"], name=name))


async def snooze(conn: Conn, name: str, until: datetime | None) -> bool:
    return bool(await fetch_column(conn, NOTIFICATIONS["snooze"], name=name, until=until))


async def lock_rule(conn: Conn, rule: int) -> Row | None:
    return await fetch_row(conn, NOTIFICATIONS["lock_rule"], id=rule)


async def looked(conn: Conn, rule: int, at: datetime) -> None:
    await execute(conn, NOTIFICATIONS["looked"], id=rule, at=at)


async def found(conn: Conn, rule: Row, since: datetime) -> list[Row]:
    values = {name: rule[name] for name in ("type", "count", "of_last", "factor", "after")}
    return await fetch_rows(conn, NOTIFICATIONS[rule["event"]], **values, since=since)


async def add(
    conn: Conn,
    rule: int,
    *,
    key: str,
    subject: str,
    data: dict[str, Any],
    snoozed: bool,
    quiet: timedelta,
    most: int,
) -> Row | None:
    """None if it was found before."""
    return await fetch_row(
        conn,
        NOTIFICATIONS["add"],
        rule=rule,
        key=key,
        subject=subject,
        data=Jsonb(data),
        snoozed=snoozed,
        quiet=quiet,
        most=most,
    )


async def address(conn: Conn, notification: int, channels: Sequence[str]) -> int:
    return await execute(
        conn, NOTIFICATIONS["address"], notification=notification, channels=list(channels)
    )


async def take(conn: Conn) -> Row | None:
    return await fetch_row(conn, NOTIFICATIONS["take"])


async def delivered(conn: Conn, delivery: int, *, attempts: int, answer: str) -> None:
    await execute(conn, NOTIFICATIONS["delivered"], id=delivery, attempts=attempts, answer=answer)


async def not_delivered(
    conn: Conn, delivery: int, *, attempts: int, error: str, again: datetime | None
) -> None:
    await execute(
        conn,
        NOTIFICATIONS["not_delivered"],
        id=delivery,
        attempts=attempts,
        error=error,
        again=again,
    )


async def secret(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, NOTIFICATIONS["secret"], name=name)


async def page(
    conn: Conn, *, rule: str | None, open: bool, after: int | None, limit: int
) -> list[Row]:
    return await fetch_rows(
        conn, NOTIFICATIONS["page"], rule=rule, open=open, after=after, limit=limit
    )


async def get(conn: Conn, notification: int) -> Row | None:
    return await fetch_row(conn, NOTIFICATIONS["get"], id=notification)


async def acknowledge(conn: Conn, notification: int, *, by: str) -> bool:
    return bool(await fetch_column(conn, NOTIFICATIONS["acknowledge"], id=notification, by=by))


async def deliveries(
    conn: Conn,
    *,
    notification: int | None = None,
    channel: str | None = None,
    status: str | None = None,
    after: int | None = None,
    limit: int,
) -> list[Row]:
    return await fetch_rows(
        conn,
        NOTIFICATIONS["deliveries"],
        notification=notification,
        channel=channel,
        status=status,
        after=after,
        limit=limit,
    )


async def redeliver(conn: Conn, delivery: int) -> bool:
    return bool(await fetch_column(conn, NOTIFICATIONS["redeliver"], id=delivery))


async def forget(conn: Conn, limit: int) -> int:
    return await execute(conn, NOTIFICATIONS["forget"], limit=limit)
