"""Carries out what decisions ask of the world around their runs, in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errands import Errand
from scheduler.domain.orders import (
    AskApproval,
    AwaitEvent,
    CloseApproval,
    EmitEvent,
    EnterGroup,
    Inquire,
    LeavePlace,
    Order,
    Rewind,
    StartChild,
    TakeMessage,
    TellChildren,
)
from scheduler.domain.wakes import Wake
from scheduler.services import events, families, groups, mailing, rewinding
from scheduler.services.catalog import Catalog
from scheduler.store import approvals, placements, waits

Conn = AsyncConnection[Any]


@dataclass(slots=True)
class News:
    """What the transaction that asked is to go on with: answers, and runs to be looked at."""

    answers: list[Errand] = field(default_factory=list)
    unsettled: list[UUID] = field(default_factory=list)


async def carry_out(conn: Conn, catalog: Catalog, orders: Sequence[Order], wake: Wake) -> News:
    """All locks on runs are held by now; those of events come after them, in their order."""
    news = News()
    news.answers += await _await_events(conn, [o for o in orders if isinstance(o, AwaitEvent)])
    if emitted := [o for o in orders if isinstance(o, EmitEvent)]:
        wake.merge(await events.emit(conn, emitted))
    for order in orders:
        match order:
            case StartChild():
                begun = await families.start(conn, catalog, order)
                wake.merge(begun.wake)
                news.answers += [begun.answer] if begun.answer else []
                news.unsettled += begun.unsettled
            case AskApproval():
                await _ask(conn, order)
            case CloseApproval():
                await approvals.close(conn, [order.task.id], note=order.why)
            case Rewind():
                await rewinding.rewind(conn, order)
    for order in orders:
        match order:
            case EnterGroup():
                news.answers += await groups.enter(conn, order, wake)
            case LeavePlace(run_id=run, selector=selector):
                wake.add(queues=await placements.leave(conn, run, selector))
    news.answers += await mailing.take(conn, [o for o in orders if isinstance(o, TakeMessage)])
    inquiries = [o for o in orders if isinstance(o, Inquire)]
    news.answers += await mailing.inquire(conn, inquiries)
    wake.add(due=bool(inquiries))
    told = await families.tell(conn, [o for o in orders if isinstance(o, TellChildren)])
    wake.add(due=told)
    return news


async def _await_events(conn: Conn, orders: Sequence[AwaitEvent]) -> list[Errand]:
    """Wait for what is to come, unless it came already."""
    if not orders:
        return []
    types, keys = [o.event for o in orders], [o.key for o in orders]
    ids = [o.task.id for o in orders]
    await waits.lock(conn, types, keys)
    await waits.add(conn, ids, [o.task.run_id for o in orders], types, keys)
    return [
        Errand(run_id=met.run_id, task_id=met.task_id, kind="event", data={"event": met.event})
        for met in await waits.find(conn, ids)
    ]


async def _ask(conn: Conn, order: AskApproval) -> None:
    await approvals.ask(
        conn,
        run=order.task.run_id,
        task=order.task.id,
        attempt=order.attempt,
        message=order.message,
        who=order.who,
        form=order.form,
        due_at=order.due_at,
    )
