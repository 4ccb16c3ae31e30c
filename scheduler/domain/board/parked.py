"""How tasks end that nobody claims."""

import json
from dataclasses import replace

from executor.base import Ending, Outcome
from scheduler.domain.board import parking
from scheduler.domain.board.ending import settle_run
from scheduler.domain.board.outcomes import conclude
from scheduler.domain.board.parking import REASONS
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import PARKED
from scheduler.domain.orders import CloseApproval
from scheduler.domain.states import Reason
from scheduler.domain.tasks import Task


def deliver(table: Table, task_id: int, attempt: int | None, outcome: Outcome) -> bool:
    """What a task waited for is there; False if it does not wait for it any more."""
    task = table.by_id.get(task_id)
    if task is None or not is_parked(task) or attempt not in (None, task.attempt):
        return False
    end(table, task, outcome)
    settle_run(table)
    return True


def due(table: Table, task: Task) -> None:
    """Its time has come: that of a sleep, or the last moment of a wait."""
    if task.reason is Reason.TIMER:
        end(table, task, Outcome(ending=Ending.SUCCEEDED, output=output_of(task)))
        return
    if task.reason is Reason.CHILD:
        parking.tell_children(table, task, "stop")
    if task.reason is Reason.APPROVAL:
        table.asked.orders.append(CloseApproval(task=task, why="nobody decided in time"))
    limit = task.invocation["timeout"]
    error = f"what it waits for did not come within {limit:g} s"
    end(table, task, Outcome(ending=Ending.TIMED_OUT, error=error))


def end(table: Table, task: Task, outcome: Outcome) -> None:
    if not table.goes_on(task) and outcome.ending is Ending.FAILED:
        outcome = replace(outcome, ending=Ending.STOPPED)
    conclude(table, task, outcome)


def is_parked(task: Task) -> bool:
    begun = task.invocation is not None  # else it waits to be carried out once more
    return task.kind in PARKED and task.placement is None and begun and task.reason in REASONS


def is_over(table: Table, task: Task) -> bool:
    """It waits for nothing but its turn: what it asked for is done with the decision itself."""
    now = task.due_at is not None and task.due_at <= table.now
    return is_parked(task) and task.reason is Reason.TIMER and now


def output_of(task: Task) -> str | None:
    match task.kind:
        case "branch":
            return json.dumps({"to": task.invocation["to"]})
        case "emit":
            return json.dumps({"event": task.invocation["event"]})
    return None
