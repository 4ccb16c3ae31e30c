"""A result that comes after its attempt was given up."""

import json
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain.board import originals, rounds
from scheduler.domain.board.ending import settle_run
from scheduler.domain.board.following import is_unresolved
from scheduler.domain.board.outcomes import bury, came_to, give_up
from scheduler.domain.board.table import Table
from scheduler.domain.states import RunState, TaskState
from scheduler.domain.tasks import Task

T = TaskState

LONGEST_SHOWN = 8 << 10  # of an output; no more of it is kept
NOT_BEGUN = (T.READY, T.WAITING)


def late(
    table: Table, task_id: int, attempt: int, outcome: Outcome, *, station: str | None = None
) -> None:
    """Keep it as evidence. It is more than that only where a workstation was given up for lost, has
    done the work after all, and the task says that this counts, or that somebody is to say."""
    task = table.by_id[task_id]
    table.tell("task.late_result", task, attempt=attempt, data=told(outcome, station))
    if outcome.ending is not Ending.SUCCEEDED or not originals.is_one(task, attempt):
        return
    assert task.placement is not None
    match task.placement["reconcile"]:
        case "keep_original":
            by = f"workstation {station}" if station else "its workstation"
            keep(table, task, attempt, outcome, by=by)
        case "ask":
            ask(table, task, attempt, outcome)
    settle_run(table)


def told(outcome: Outcome, station: str | None) -> dict[str, Any]:
    more = {
        "workstation": station,
        "error": outcome.error,
        "output": outcome.output and outcome.output[:LONGEST_SHOWN],
    }
    given = {name: value for name, value in more.items() if value is not None}
    return {"ending": outcome.ending, "exit_code": outcome.exit_code} | given


def keep(table: Table, task: Task, attempt: int, outcome: Outcome, *, by: str) -> None:
    if task.state is T.IN_PROGRESS:
        originals.remember(table, task, attempt, outcome)
        if not task.is_ending:
            table.want(task, "stop")
    elif task.state in NOT_BEGUN and table.goes_on(task):
        task.exit_code, task.error = outcome.exit_code, None
        table.asked.outputs[task.id] = outcome.output
        came_to(table, task, outcome)
    elif task.state is T.FAILED and may_still_count(table, task):
        rounds.mark_done(table, by, task.name, output_of(outcome), WHY)
        task.exit_code, task.error = outcome.exit_code, None


WHY = "it was given up for lost, and has succeeded after all"


def may_still_count(table: Table, task: Task) -> bool:
    """The run ended with this loss, and nothing of it was undone since."""
    run, is_its_end = table.run, task.role == "task" and is_unresolved(task)
    return is_its_end and run.state is RunState.FAILED and run.compensated is None


def output_of(outcome: Outcome) -> Any:
    return None if outcome.output is None else json.loads(outcome.output)


def ask(table: Table, task: Task, attempt: int, outcome: Outcome) -> None:
    """A dead letter asks. Of a task that failed there is one already."""
    if task.state is T.IN_PROGRESS:
        originals.remember(table, task, attempt, outcome)
    elif task.state in NOT_BEGUN and table.goes_on(task):
        error = (
            f"attempt {attempt}, which was lost, has succeeded after all, before its replacement "
            "began: say what counts (`procession complete`, or a retry)"
        )
        give_up(table, task, Outcome(ending=Ending.FAILED, error=error, retryable=False))
    elif task.state is T.COMPLETED and task.role == "task":
        task.error = originals.doubtful(attempt, task.attempt, outcome).error
        originals.forget(table, task)  # there is one dead letter of a task in each round
        bury(table, task)
