"""Process types for tests of how runs go, made without a text, and boards that play them."""

from datetime import timedelta
from typing import Any

from executor.base import Outcome
from scheduler.domain.board import Board
from scheduler.domain.definitions import (
    Branch,
    Case,
    ForEach,
    Join,
    OnFailure,
    ProcessType,
    Repeat,
    TaskDefinition,
)
from scheduler.domain.states import TaskState
from tests.support.builders import SUCCESS, a_board, end

STOP_REST = Join(count=1, stop_rest=True)
ANY = Join(count=1)


def noop(name: str, *needs: str, **more: Any) -> TaskDefinition:
    return TaskDefinition(name=name, kind="noop", needs=needs, **more)


def undoing(name: str, *needs: str, **more: Any) -> TaskDefinition:
    """A task that can be undone."""
    return noop(name, *needs, undo=noop(name), **more)


def branch(name: str, *needs: str, to: dict[str, str], default: str = "") -> TaskDefinition:
    """Goes to each name whose expression holds first."""
    cases = tuple(Case(when=when, to=(target,)) for target, when in to.items())
    work = Branch(cases=cases, default=(default,) if default else ())
    return TaskDefinition(name=name, kind="branch", needs=needs, work=work)


def each(name: str, *needs: str, items: str = "${{ input.items }}", **more: Any) -> TaskDefinition:
    keys = ("max_parallel", "min_success", "stop_rest")
    how = {key: more.pop(key) for key in keys if key in more}
    return noop(name, *needs, for_each=ForEach(items=items, **how), **more)


def repeated(name: str, until: str, most: int = 3, **more: Any) -> TaskDefinition:
    return noop(name, repeat=Repeat(until=until, max=most, delay=timedelta(seconds=1)), **more)


def a_type_of(*tasks: TaskDefinition, **more: Any) -> ProcessType:
    return ProcessType(name=more.pop("name", "any"), tasks=tasks, **more)


def playing(*tasks: TaskDefinition, input: dict[str, Any] | None = None, **more: Any) -> Board:
    """A run of these that has just begun, with what waits to be settled settled."""
    board = a_board(a_type_of(*tasks, **more), input=input or {})
    settle(board)
    return board


def settle(board: Board) -> None:
    while board.asks():
        board.settle(results_of(board))


def results_of(board: Board) -> dict[str, dict[str, Any]]:
    return {
        task.name: {"status": task.state, "exit_code": task.exit_code, "output": None}
        for task in board.of_role("task")
    }


def finish(board: Board, name: str, outcome: Outcome = SUCCESS) -> None:
    board.now += timedelta(milliseconds=1)
    end(board, name, outcome)
    settle(board)


def finish_all(board: Board, **outcomes: Outcome) -> None:
    """End whatever is ready, until nothing is; successes, but for those that are named."""
    while ready := board.of_state(TaskState.READY):
        for task in ready:
            if task.state is TaskState.READY:
                finish(board, task.name, outcomes.get(task.name, SUCCESS))


CONTINUE, HANDLER = OnFailure("continue"), OnFailure("handler", "mend")
