"""Triggers and events in a database, and what came of them."""

from collections.abc import Sequence
from typing import Any

from scheduler.domain.events import NewEvent
from scheduler.domain.trigger_reading import read_trigger
from scheduler.loops.router import Router
from scheduler.services import events, triggers
from scheduler.services.catalog import Catalog
from scheduler.store.schedules import Target
from tests.support.builders import Conn, chain, one, publish

ONE = chain("one", "")


async def a_trigger(
    conn: Conn, *, type: str | None = "one", record: str | None = None, **document: Any
) -> int:
    target = Target(type=type if record is None else None, record=record)
    spec = read_trigger({"event": "order.*", **document})
    return int((await triggers.create(conn, target, spec, by="ann"))["id"])


async def triggered(conn: Conn, **document: Any) -> int:
    """A type of one task, and a trigger that starts it."""
    await publish(conn, ONE)
    return await a_trigger(conn, **document)


def an_event(id: str, *, type: str = "order.created", key: str = "", data: Any = None) -> NewEvent:
    return NewEvent(source="shop", id=id, type=type, key=key, data=data or {})


async def send(conn: Conn, *ids: str, **more: Any) -> None:
    await events.receive(conn, [an_event(id, **more) for id in ids], by="test")


async def route_all(conn: Conn) -> int:
    """Let a router decide on all there is; in how many turns."""
    router, turns = Router(Catalog()), 0
    while await router.tick(conn):
        turns += 1
        assert turns < 1000
    return turns


async def time_passes(conn: Conn, seconds: float) -> None:
    """As if all that is remembered had been so much earlier."""
    ago = f"- interval '{seconds} s'"
    await conn.execute(
        f"update pending_starts set due_at = due_at {ago}, first_at = first_at {ago}"
    )
    await conn.execute(
        f"update trigger_memories set until = until {ago},"
        f" times = array(select t {ago} from unnest(times) t)"
    )


async def fates(conn: Conn, trigger: int) -> list[str]:
    cursor = await conn.execute(
        "select fate::text from trigger_decisions where trigger_id = %s order by event_id",
        [trigger],
    )
    return [row[0] for row in await cursor.fetchall()]


async def inputs(conn: Conn) -> Sequence[dict[str, Any]]:
    cursor = await conn.execute("select input from runs order by created_at, id")
    return [row[0] for row in await cursor.fetchall()]


async def runs(conn: Conn) -> int:
    return int(await one(conn, "select count(*) from runs"))
