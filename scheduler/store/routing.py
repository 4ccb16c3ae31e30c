"""What events start. One function for each statement in sql/queries/routing.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.domain.triggers import Fate, Open
from scheduler.store.rows import Row, execute, fetch_rows, fetch_value
from sql.statements import statements

ROUTING = statements("routing")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a trigger is to remember of one rule and key."""

    trigger: int
    rule: str
    key: str
    until: datetime | None
    times: Sequence[datetime]
    living: Sequence[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    trigger: int
    event: int
    fate: Fate
    run: UUID | None = None
    waiting: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a start that waited, and with it of its events."""

    waiting: int
    last_event: int
    fate: Fate
    run: UUID | None = None
    reason: str | None = None


async def take(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, ROUTING["take"], limit=limit)


async def backlog(conn: Conn, most: int) -> int:
    found: int = await fetch_value(conn, ROUTING["backlog"], most=most)
    return found


async def moment(conn: Conn) -> datetime:
    found: datetime = await fetch_value(conn, ROUTING["moment"])
    return found


async def remembered(
    conn: Conn, triggers: Sequence[int], kinds: Sequence[str], keys: Sequence[str]
) -> list[Row]:
    return await fetch_rows(
        conn,
        ROUTING["remembered"],
        triggers=list(triggers),
        kinds=list(kinds),
        keys=list(keys),
    )


async def remember(conn: Conn, all: Sequence[Remembered]) -> None:
    await execute(
        conn,
        ROUTING["remember"],
        triggers=[each.trigger for each in all],
        kinds=[each.rule for each in all],
        keys=[each.key for each in all],
        untils=[each.until for each in all],
        times=["{" + ",".join(at.isoformat() for at in each.times) + "}" for each in all],
        living=["{" + ",".join(map(str, each.living)) + "}" for each in all],
    )


async def open(conn: Conn, triggers: Sequence[int], keys: Sequence[str]) -> list[Row]:
    return await fetch_rows(conn, ROUTING["open"], triggers=list(triggers), keys=list(keys))


async def queued(conn: Conn, triggers: Sequence[int], keys: Sequence[str]) -> list[Row]:
    return await fetch_rows(conn, ROUTING["queued"], triggers=list(triggers), keys=list(keys))


async def wait(conn: Conn, new: Sequence[tuple[int, Open]]) -> list[int]:
    """Their ids, in their order."""
    rows = await fetch_rows(
        conn,
        ROUTING["wait"],
        triggers=[trigger for trigger, _ in new],
        kinds=[each.kind for _, each in new],
        keys=[each.key for _, each in new],
        turns=[each.turn for _, each in new],
        gathers=[each.gathers for _, each in new],
        inputs=[Jsonb(each.input) for _, each in new],
        events=[each.events for _, each in new],
        sizes=[each.size for _, each in new],
        last_events=[each.last_event for _, each in new],
        firsts=[each.first_at for _, each in new],
        dues=[each.due_at for _, each in new],
    )
    made = {(row["trigger_id"], row["last_event"]): row["id"] for row in rows}
    return [made[trigger, each.last_event] for trigger, each in new]


async def rewait(conn: Conn, changed: Sequence[Open]) -> None:
    await execute(
        conn,
        ROUTING["rewait"],
        ids=[each.id for each in changed],
        kinds=[each.kind for each in changed],
        inputs=[Jsonb(each.input) for each in changed],
        events=[each.events for each in changed],
        sizes=[each.size for each in changed],
        last_events=[each.last_event for each in changed],
        firsts=[each.first_at for each in changed],
        dues=[each.due_at for each in changed],
    )


async def due(conn: Conn, triggers: Sequence[int], limit: int) -> list[Row]:
    return await fetch_rows(conn, ROUTING["due"], triggers=list(triggers), limit=limit)


async def over(conn: Conn, ids: Sequence[int]) -> None:
    await execute(conn, ROUTING["over"], ids=list(ids))


async def postpone(conn: Conn, ids: Sequence[int], until: datetime) -> None:
    await execute(conn, ROUTING["postpone"], ids=list(ids), until=until)


async def next_due(conn: Conn) -> float | None:
    found: float | None = await fetch_value(conn, ROUTING["next_due"])
    return found


async def gathered(conn: Conn, waiting: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, ROUTING["gathered"], waiting=list(waiting))


async def decide(conn: Conn, all: Sequence[Decision]) -> None:
    await execute(
        conn,
        ROUTING["decide"],
        triggers=[each.trigger for each in all],
        events=[each.event for each in all],
        fates=[each.fate.value for each in all],
        runs=[each.run for each in all],
        waiting=[each.waiting for each in all],
        reasons=[each.reason for each in all],
    )


async def settle(conn: Conn, all: Sequence[Settled]) -> None:
    await execute(
        conn,
        ROUTING["settle"],
        waiting=[each.waiting for each in all],
        last_events=[each.last_event for each in all],
        fates=[each.fate.value for each in all],
        runs=[each.run for each in all],
        reasons=[each.reason for each in all],
    )


async def of_trigger(
    conn: Conn, trigger: int, *, limit: int, after: int | None = None, fate: str | None = None
) -> list[Row]:
    return await fetch_rows(
        conn, ROUTING["of_trigger"], trigger=trigger, limit=limit, after=after, fate=fate
    )


async def of_event(conn: Conn, event: int) -> list[Row]:
    return await fetch_rows(conn, ROUTING["of_event"], event=event)


async def forget(conn: Conn, limit: int) -> int:
    return await execute(conn, ROUTING["forget"], limit=limit)
