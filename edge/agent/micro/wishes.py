"""What people at the server want of runs that are decided here."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from edge.agent.micro import asking
from edge.messages import Command, Verb
from scheduler.domain.board import Board
from scheduler.domain.errors import Invalid
from scheduler.domain.process_types import check_input

if TYPE_CHECKING:
    from edge.agent.micro.decision import Decision

Act: TypeAlias = Callable[[Board], Any]
THE_SERVER = "server"  # who asks, where nobody says a name


def fulfil(decision: "Decision", run: UUID, command: Command) -> None:
    """Raises a Refusal where it cannot be."""
    if command.verb is Verb.ANSWER:
        answer(decision, run, command.data)
    else:
        decision.on(run, act_of(command))


def answer(decision: "Decision", run: UUID, data: Mapping[str, Any]) -> None:
    """Who may answer was looked at where they asked."""
    question = asking.at(decision.ledger, run, data["position"], data["attempt"])
    asking.answer(
        decision,
        question,
        approve=data["approve"] is True,
        by=str(data["by"]),
        data=data.get("data") or {},
        note=str(data.get("note") or ""),
        is_known=True,
    )


def act_of(command: Command) -> Act:
    data, why = command.data, command.reason
    by = str(data.get("by") or THE_SERVER)
    match command.verb:
        case Verb.HOLD:
            return lambda board: board.hold(by, freeze=data.get("freeze") is True)
        case Verb.RESUME:
            return lambda board: board.resume(by)
        case Verb.STOP | Verb.KILL:
            kill, undo = command.verb is Verb.KILL, data.get("undo") is True
            return lambda board: board.stop(by, kill=kill, why=why or None, undo=undo)
        case Verb.RETRY:
            return lambda board: again(board, by, data)
        case Verb.UNDO:
            return lambda board: board.compensate(by)
        case Verb.SKIP:
            return lambda board: board.skip(by, str(data["task"]), why)
        case Verb.DONE:
            return lambda board: board.mark_done(by, str(data["task"]), data.get("output"), why)
    raise Invalid(f"{command.verb} is nothing that a run is asked for")


def again(board: Board, by: str, data: Mapping[str, Any]) -> None:
    if (given := data.get("input")) is not None:
        board.run.input = check_input(board.definition, given)
    board.retry(by, task=data.get("task"), whole=data.get("whole") is True)
