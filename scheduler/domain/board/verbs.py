"""What people and clocks ask of a run."""

from collections.abc import Sequence
from datetime import timedelta

from scheduler.domain.board import parked, parking
from scheduler.domain.board.ending import settle_run, wind_down
from scheduler.domain.board.following import ready
from scheduler.domain.board.table import Table
from scheduler.domain.errors import Conflict
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState

FREEZABLE = ("run", "python", "action")  # commands, and what a program with an SDK does
STARTABLE = (R.PENDING, R.IN_PROGRESS)


def hold(table: Table, by: str, *, freeze: bool = False) -> None:
    """Nothing more begins. With `freeze`, commands in hand stand still, and so do their times."""
    if freeze and not table.run.state.is_final:
        freeze_commands(table)
    if table.run.state in (R.HOLDING, R.HELD):
        settle_run(table)
        return
    require(table, "hold", STARTABLE)
    for task in table.tasks.values():
        if task.state is T.READY or task.reason is Reason.LIMIT:
            table.move(task, T.WAITING, Reason.HOLD)
        elif task.reason is Reason.CHILD:
            parking.tell_children(table, task, "hold")
        elif hears_of_it(task) and not task.is_ending:
            table.want(task, "freeze")
    table.move_run(R.HOLDING, "run.holding", {"by": by} | ({"freeze": True} if freeze else {}))
    settle_run(table)


def hears_of_it(task: Task) -> bool:
    """A workflow, which begins nothing more; or a child that a workstation decides about. They hear
    of what is wanted as a command does."""
    return task.kind in ("workflow", "process") and task.state is T.IN_PROGRESS


def freeze_commands(table: Table) -> None:
    for task in table.tasks.values():
        if task.state is T.IN_PROGRESS and task.kind in FREEZABLE and not task.is_ending:
            table.want(task, "freeze")


def resume(table: Table, by: str) -> None:
    if table.run.state in STARTABLE:
        return
    require(table, "resume", (R.HOLDING, R.HELD))
    table.move_run(R.IN_PROGRESS, "run.resumed", {"by": by})
    for task in table.tasks.values():
        if task.reason is Reason.HOLD:
            ready(table, task)
        elif task.reason is Reason.CHILD:
            parking.tell_children(table, task, "resume")
        elif task.is_frozen:
            table.want(task, "thaw")
    settle_run(table)


def stop(
    table: Table, by: str, *, kill: bool = False, why: str | None = None, undo: bool = False
) -> None:
    """With `undo`, what was done is undone before the run ends."""
    if table.run.state.is_final:
        raise Conflict(f"the run is already {table.run.state}: there is nothing to stop")
    table.run.undoes = undo or table.run.undoes or table.definition.undo_on_stop
    data = {"by": by, "kill": kill} | ({"why": why} if why else {})
    data |= {"undo": True} if undo else {}
    wind_down(table, R.STOPPED, why or f"stopped by {by}", "kill" if kill else "stop", data)


def expire(table: Table) -> None:
    """The run's own timeout has passed."""
    run = table.run
    if run.state.is_final or run.state is R.STOPPING:
        return
    if run.due_at is None or run.due_at > table.now:
        return  # it ended, and a new round began, since somebody looked
    limit = run.timeout or timedelta()
    error = f"the run did not end within {limit.total_seconds():g} s"
    wind_down(table, R.FAILED, error, "stop", {"error": error})


def wake(table: Table) -> None:
    """Whatever waits for a time that has come goes on."""
    for task in table.tasks.values():
        due = task.due_at is not None and task.due_at <= table.now
        if not due or task.reason in (None, Reason.SETTLE, Reason.ITEMS):
            continue
        if parked.is_parked(task):
            parked.due(table, task)
        else:
            ready(table, task)
    settle_run(table)


def look_again(table: Table) -> None:
    """Put what waits for a place under a limit up for another look."""
    for task in table.tasks.values():
        if task.reason is Reason.LIMIT:
            ready(table, task)


def require(table: Table, verb: str, states: Sequence[RunState]) -> None:
    if table.run.state not in states:
        raise Conflict(
            f"cannot {verb} a run that is {table.run.state}: "
            f"it must be {' or '.join(sorted(states))}"
        )
