"""How a run comes to its end: what still goes on, what is undone, what hooks have to do."""

from collections.abc import Iterable, Mapping
from typing import Any

from scheduler.domain import graph
from scheduler.domain.board import hooks, items, parking, stopping, undoing
from scheduler.domain.board.following import consider_all, ready
from scheduler.domain.board.table import Table
from scheduler.domain.states import RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState


def fail(table: Table, error: str, want: str | None, data: Mapping[str, Any]) -> None:
    """The run fails; but what is there for that goes on."""
    if table.run.state is R.STOPPING or not may_go_on(table):
        wind_down(table, R.FAILED, error, want, data)
        return
    if not table.run.is_failing:
        table.run.ends_as, table.run.error = R.FAILED, error
        table.touch_run()
        table.tell("run.failing", data=data)
    leave_all(table, (task for task in living(table) if not table.goes_on(task)), want, error)
    consider_all(table)


def may_go_on(table: Table) -> bool:
    """There is a task with a condition whose time is yet to come."""
    return bool(table.kept) and any(
        not task.state.is_final and graph.is_conditional(table.definitions[task.name])
        for task in table.of_role("task")
    )


def wind_down(
    table: Table, ends_as: RunState, error: str, want: str | None, data: Mapping[str, Any]
) -> None:
    """Nothing more begins; what is in hand ends by itself or, if wanted, is stopped."""
    run = table.run
    if run.ends_as is None or (ends_as is R.STOPPED and run.ends_as is R.FAILED):
        run.ends_as, run.error = ends_as, error
    run.due_at = None
    table.move_run(R.STOPPING, "run.stopping", data)
    leave_all(table, living(table), want, error)
    settle_run(table)


def living(table: Table) -> list[Task]:
    return [task for task in table.tasks.values() if not task.state.is_final]


def leave_all(table: Table, tasks: Iterable[Task], want: str | None, why: str) -> None:
    for task in tasks:
        if task.state is T.IN_PROGRESS:
            if want and task.wanted != "kill":
                task.wanted = want
                table.touch(task)
        elif want != "kill" and stopping.is_to_hear(table, task):
            stopping.waken(table, task)
        elif parking.leave(table, task, want, why):
            table.finish(task, T.STOPPED, passed=False)


def settle_run(table: Table) -> None:
    """Move the run on if nothing keeps it where it is."""
    run = table.run
    if run.state.is_final:
        return
    leave_calls(table)
    if run.open == 0:
        conclude(table)
    take_next_step(table)
    if run.state is R.HOLDING and not in_hand(table):
        table.move_run(R.HELD, "run.held")


def leave_calls(table: Table) -> None:
    """What a workflow called ends with it."""
    for task in table.of_role("call"):
        assert task.of is not None
        is_open = not task.state.is_final and not task.is_ending
        if is_open and table.tasks[task.of].state.is_final:
            leave_all(table, [task], "stop", "its workflow is over")


def in_hand(table: Table) -> bool:
    """A command that is frozen does nothing; a workflow goes on to the end of its step."""
    return any(
        task.state is T.IN_PROGRESS and (not task.is_frozen or task.kind == "workflow")
        for task in table.tasks.values()
    )


def take_next_step(table: Table) -> None:
    """Undos and hooks begin one by one, when nothing else is open any more."""
    steps = [task for task in table.of_role("undo", "hook") if not task.state.is_final]
    if not steps or any(task.state is not T.PENDING for task in steps):
        return
    if undos := [task for task in steps if task.role == "undo"]:
        ready(table, max(undos, key=lambda undo: undoing.turn(table, undo)))
    else:
        ready(table, min(steps, key=hooks.turn))


def conclude(table: Table) -> None:
    """All is over: say what came of it, undo it where that is asked for, call the hooks."""
    ends_as = table.run.ends_as
    if ends_as is None:
        if wants_result(table):
            table.wants_result = True
            return
        ends_as = R.COMPLETED
    elif undoing.is_due(table):
        undoing.begin(table)
        return
    undoing.conclude(table)
    if not hooks.begin(table, ends_as):
        end(table, ends_as)


def wants_result(table: Table) -> bool:
    known = table.has_result or hooks.of_this_round(table)
    return table.definition.result is not None and not known


def end(table: Table, state: RunState) -> None:
    run = table.run
    run.finished_at, run.due_at = table.now, None
    table.asked.spent_limits += items.limits_of(table)
    data = {"round": run.round} | ({"error": run.error} if run.error else {})
    table.move_run(state, f"run.{state.lower()}", data)
