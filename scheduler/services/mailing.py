"""What runs ask of each other: messages, values, ends. Asked under one run's lock, answered under
another's: errands go between them, so nobody locks two."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from executor.base import Ending, Outcome
from scheduler.domain.errands import Errand
from scheduler.domain.orders import Inquire, TakeMessage
from scheduler.services import families
from scheduler.store import errands, flows
from scheduler.store.flows import Message, Telling
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]
Outcomes = dict[int, Outcome]

MOST_WAITING = 10_000  # messages of a run that nobody has taken

# What errands are about.
MAIL, INQUIRED, ANSWERED, EMPTY = "mail", "inquired", "answered", "empty"
NOTHING = Outcome(ending=Ending.TIMED_OUT, error="there is no message, and it was not to wait")


async def take(conn: Conn, orders: Sequence[TakeMessage]) -> list[Errand]:
    """What is there already comes at once; who does not wait knows then that there is nothing."""
    runs = {order.task.run_id for order in orders}
    brief = [order.task for order in orders if order.task.invocation["timeout"] == 0]
    return [
        *(Errand(run_id=run, kind=MAIL) for run in sorted(runs)),
        *(Errand(run_id=task.run_id, task_id=task.id, kind=EMPTY) for task in brief),
    ]


async def dealt(conn: Conn, run: UUID) -> Outcomes:
    """What came for the calls of a run that wait for messages."""
    rows = await flows.deal(conn, [run])
    return {row["task_id"]: said(row["body"]) for row in rows}


def said(value: Any) -> Outcome:
    return Outcome(ending=Ending.SUCCEEDED, output=json.dumps(value))


async def inquire(conn: Conn, orders: Sequence[Inquire]) -> list[Errand]:
    """Ask other runs; of a run that is not there the answer is known."""
    if not orders:
        return []
    there = set(await flows.present(conn, [order.about for order in orders]))
    for order in orders:
        if order.about in there:
            await flows.inquire(
                conn,
                task=order.task.id,
                run=order.task.run_id,
                about=order.about,
                kind=order.kind,
                name=order.name,
            )
    asked = [Errand(run_id=about, kind=INQUIRED) for about in sorted(there)]
    await errands.add(conn, asked, by="engine")
    return [missing(order) for order in orders if order.about not in there]


def missing(order: Inquire) -> Errand:
    return Errand(
        run_id=order.task.run_id,
        task_id=order.task.id,
        kind=ANSWERED,
        data={"error": f"there is no run {order.about}"},
    )


async def answer_inquiries(conn: Conn, about: UUID) -> None:
    """Tell those who ask about a run what can be told now; its lock is the caller's."""
    rows = await flows.answerable(conn, [about])
    await errands.add(conn, [answered(row) for row in rows], by="engine")


def answered(row: Row) -> Errand:
    told = {"run": str(row["about"])} if row["telling"] is None else {"telling": row["telling"]}
    return Errand(run_id=row["run_id"], task_id=row["task_id"], kind=ANSWERED, data=told)


async def answer(conn: Conn, errand: Errand) -> Outcome | None:
    """None if the run that had ended goes on in a new round: the call waits for its end."""
    if "error" in errand.data:
        return Outcome(ending=Ending.FAILED, error=errand.data["error"], retryable=False)
    if "telling" in errand.data:
        found = await flows.telling(conn, errand.data["telling"])
        return said(found["value"]) if found else None
    about = UUID(errand.data["run"])
    if about not in await flows.present(conn, [about]):
        return Outcome(ending=Ending.FAILED, error=f"run {about} is gone", retryable=False)
    outcome = await families.ending(conn, about)
    if outcome is None and errand.task_id is not None:
        await flows.inquire(
            conn, task=errand.task_id, run=errand.run_id, about=about, kind="end", name=""
        )
        return None
    return outcome and replace(outcome, output=own_output(outcome))


def own_output(outcome: Outcome) -> str | None:
    """What the run came to, and not which run it was: whoever asks knows."""
    told = json.loads(outcome.output) if outcome.output else {}
    return None if told.get("output") is None else json.dumps(told["output"])


async def send(conn: Conn, messages: Sequence[Message]) -> list[Row]:
    """Those that were new; the runs that they went to deal them out as soon as they can."""
    sent = await flows.send(conn, messages) if messages else []
    runs = sorted({row["run_id"] for row in sent})
    await errands.add(conn, [Errand(run_id=run, kind=MAIL) for run in runs], by="engine")
    return sent


async def tell(conn: Conn, tellings: Sequence[Telling]) -> bool:
    """True if there is somebody who may have waited for it."""
    told = await flows.tell(conn, tellings) if tellings else []
    runs = sorted({row["run_id"] for row in told if row["kind"] == "value"})
    return bool(
        await errands.add(conn, [Errand(run_id=run, kind=INQUIRED) for run in runs], by="engine")
    )
