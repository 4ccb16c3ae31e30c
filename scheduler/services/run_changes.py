"""What may be changed of a run that was started: its labels and its priority."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import labels
from scheduler.domain.board import Event
from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.tasks import rank
from scheduler.domain.wakes import Wake
from scheduler.services import runs as run_service
from scheduler.services.waking import notify
from scheduler.store import boards, runs, tasks
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """None leaves it as it is."""

    priority: int | None = None
    labels: Mapping[str, str | None] | None = None
    replace_labels: bool = False


async def change(conn: Conn, run: UUID, wish: Change, *, by: str) -> Row:
    """Under the run's lock; its history tells what was before. What changes nothing tells
    nothing."""
    if wish.replace_labels and wish.labels is None:
        raise Invalid(
            "there are no labels to put in place of those it has",
            field="replace_labels",
            remedy="send `labels` too; `{}` takes all of them away",
        )
    async with conn.transaction():
        before = await locked(conn, run)
        after = changed(before, wish)
        if after != {name: before[name] for name in after}:
            await write(conn, run, before, after, by)
    return await run_service.get(conn, run)


async def locked(conn: Conn, run: UUID) -> Row:
    if not await runs.lock(conn, [run]):
        raise NotFound(f"there is no run {run}: `procession runs` lists what there is")
    return await run_service.get(conn, run)


def changed(before: Row, wish: Change) -> dict[str, Any]:
    whole = wish.replace_labels
    return {
        "priority": before["priority"] if wish.priority is None else wish.priority,
        "labels": before["labels"]
        if wish.labels is None
        else labels.changed(before["labels"], wish.labels, whole=whole),
    }


async def write(conn: Conn, run: UUID, before: Row, after: dict[str, Any], by: str) -> None:
    seq = await runs.change(conn, run, **after)
    told = {name: [before[name], now] for name, now in after.items() if now != before[name]}
    event = Event(run_id=run, seq=seq, kind="run.changed", data={"by": by, **told})
    await boards.write_events(conn, [event])
    wake = Wake()
    wake.add(runs=[run])
    if "priority" in told:
        await tasks.set_rank(conn, run, rank(after["priority"], started=True))
    await notify(conn, wake)
