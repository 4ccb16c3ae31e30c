"""Does what others ask of runs, under the runs' locks."""

import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from executor.base import Outcome
from scheduler.domain import signals
from scheduler.domain.board import Board
from scheduler.domain.errands import Errand
from scheduler.domain.errors import Conflict
from scheduler.services import families, mailing, scopes
from scheduler.store import errands, events, runs, tasks, waits

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]
Answer = Callable[[Board], None]
Answers = dict[UUID, list[Answer]]


async def answers(conn: Conn, asked: Sequence[Errand]) -> Answers:
    """What each run's board is to be told, in the order in which it was asked."""
    found: Answers = {}
    for errand in asked:
        found.setdefault(errand.run_id, []).append(await answer(conn, errand))
    return found


def tell(board: Board, found: Answers) -> None:
    for each in found.get(board.run.id, ()):
        each(board)


async def answer(conn: Conn, errand: Errand) -> Answer:
    match errand.kind:
        case "child_started":
            return delivering(errand, families.started(errand.data))
        case "child_ended":
            return delivering(errand, await child_ended(conn, errand))
        case "event":
            return delivering(errand, await event_came(conn, errand))
        case mailing.MAIL:
            return dealing(await mailing.dealt(conn, errand.run_id))
        case mailing.EMPTY:
            return delivering(errand, mailing.NOTHING)
        case mailing.INQUIRED:
            await mailing.answer_inquiries(conn, errand.run_id)
            return nothing
        case mailing.ANSWERED:
            return delivering(errand, await mailing.answer(conn, errand))
    return asking(errand)


def delivering(errand: Errand, outcome: Outcome | None) -> Answer:
    def deliver(board: Board) -> None:
        if outcome is not None and errand.task_id is not None:
            board.deliver(errand.task_id, None, outcome)

    return deliver


def dealing(outcomes: mailing.Outcomes) -> Answer:
    def deal(board: Board) -> None:
        for task, outcome in outcomes.items():
            board.deliver(task, None, outcome)

    return deal


def nothing(board: Board) -> None:
    """What was asked of the run was answered without it."""


def asking(errand: Errand) -> Answer:
    def ask(board: Board) -> None:
        try:
            obey(board, errand)
        except Conflict as fault:  # it ended, or was asked for something else, meanwhile
            log.info("errand was too late", extra={"run": errand.run_id, "why": str(fault)})

    return ask


def obey(board: Board, errand: Errand) -> None:
    match errand.kind:
        case "hold":
            board.hold(errand.by)
        case "resume":
            board.resume(errand.by)
        case "stop" | "kill":
            board.stop(errand.by, kill=errand.kind == "kill", why=errand.data.get("why"))
        case "admitted":
            board.admit()


async def child_ended(conn: Conn, errand: Errand) -> Outcome | None:
    """The end of a child that its task does not wait for any more is no news."""
    child = UUID(errand.data["child"])
    if await errands.latest_child(conn, errand.run_id, errand.task_id) != child:
        return None
    return await families.ending(conn, child)


async def event_came(conn: Conn, errand: Errand) -> Outcome | None:
    """The first event that the task's own condition wants; what it does not want is passed over."""
    task, run = await tasks.get(conn, errand.task_id or 0), await runs.get(conn, errand.run_id)
    if task is None or run is None or task["reason"] != "signal":
        return None
    call, scope = task["invocation"], {}
    if call.get("when") is not None:
        scope = await scopes.of_run(conn, run)
    number: int | None = errand.data["event"]
    while number is not None:
        event = await events.get(conn, number)
        await waits.had(conn, task["id"], number)
        outcome = event and signals.met(call, event, scope)
        if outcome:
            return outcome
        following = await waits.find(conn, [task["id"]])
        number = following[0].event if following else None
    return None
