"""What people and clocks ask of a run."""

from collections.abc import Sequence
from datetime import timedelta

from scheduler.domain.board import parked, parking
from scheduler.domain.board.ending import settle_run, wind_down
from scheduler.domain.board.following import advance, after, consider, derive, is_unresolved, ready
from scheduler.domain.board.table import Table
from scheduler.domain.errors import Conflict, Invalid
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task, rank

R, T = RunState, TaskState

STARTABLE = (R.PENDING, R.IN_PROGRESS)


def hold(table: Table, by: str) -> None:
    if table.run.state in (R.HOLDING, R.HELD):
        return
    require(table, "hold", STARTABLE)
    for task in table.tasks.values():
        if task.state is T.READY or task.reason is Reason.LIMIT:
            table.move(task, T.WAITING, Reason.HOLD)
        elif task.reason is Reason.CHILD:
            parking.tell_children(table, task, "hold")
    table.move_run(R.HOLDING, "run.holding", {"by": by})
    settle_run(table)


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
    settle_run(table)


def stop(table: Table, by: str, *, kill: bool = False, why: str | None = None) -> None:
    if table.run.state.is_final:
        raise Conflict(f"the run is already {table.run.state}: there is nothing to stop")
    data = {"by": by, "kill": kill} | ({"why": why} if why else {})
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


def retry(table: Table, by: str, *, task: str | None = None, whole: bool = False) -> None:
    """Open a new round: from what failed, from one task, or all of it."""
    require(table, "retry", (R.FAILED, R.STOPPED))
    again = chosen(table, task, whole)
    run = table.run
    run.round += 1
    run.ends_as = run.error = run.finished_at = None
    run.due_at = table.now + run.timeout if run.timeout else None
    for each in again:
        reopen(table, each)
    derive(table)
    table.move_run(R.IN_PROGRESS, "run.retried", {"by": by, "round": run.round})
    table.asked.redriven.append(run.id)
    for each in again:
        for skipped in consider(table, each):
            advance(table, skipped)
    settle_run(table)


def wake(table: Table) -> None:
    """Whatever waits for a time that has come goes on."""
    for task in table.tasks.values():
        due = task.due_at is not None and task.due_at <= table.now
        if not due or task.state is not T.WAITING or task.reason is Reason.SETTLE:
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


def chosen(table: Table, name: str | None, whole: bool) -> list[Task]:
    if whole:
        return list(table.tasks.values())
    again = [t for t in table.tasks.values() if t.state is T.STOPPED or is_unresolved(t)]
    if name is not None:
        named = [task for task in table.tasks.values() if task.name == name]
        if not named:
            raise Invalid(f"the run has no task named {name!r}", field="task")
        again += named
    positions = {task.position for task in again}
    positions |= after(table, positions)
    return [table.tasks[position] for position in sorted(positions)]


def reopen(table: Table, task: Task) -> None:
    table.move(task, T.PENDING)
    task.passed = task.wanted = task.exit_code = task.error = None
    task.started_at = task.finished_at = None
    task.counted = task.lost = 0
    task.rank = rank(priority_of(task.rank), started=True)
    table.asked.outputs[task.id] = None
    if task.settles:
        task.invocation, task.limit_keys = None, []


def priority_of(place: int) -> int:
    return 9 - place // 2
