"""How a run comes to its end."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain.board import parking
from scheduler.domain.board.following import derive
from scheduler.domain.board.table import Table
from scheduler.domain.states import Reason, RunState, TaskState

R, T = RunState, TaskState


def wind_down(
    table: Table, ends_as: RunState, error: str, want: str | None, data: Mapping[str, Any]
) -> None:
    """Nothing more begins; what is in hand ends by itself or, if wanted, is stopped."""
    run = table.run
    if run.state is not R.STOPPING or (ends_as is R.STOPPED and run.ends_as is R.FAILED):
        run.ends_as, run.error = ends_as, error
    run.due_at = None
    table.move_run(R.STOPPING, "run.stopping", data)
    for task in table.tasks.values():
        if task.state is T.IN_PROGRESS:
            if want and task.wanted != "kill":
                task.wanted = want
                table.touch(task)
        elif not task.state.is_final and parking.leave(table, task, want, error):
            table.finish(task, T.STOPPED, passed=False)
    derive(table)
    settle_run(table)


def settle_run(table: Table) -> None:
    """Move the run on if nothing keeps it where it is."""
    run = table.run
    if run.state.is_final:
        return
    in_hand = any(task.state is T.IN_PROGRESS for task in table.tasks.values())
    if run.state is R.STOPPING:
        if not in_hand and not has_children(table) and run.ends_as is not None:
            end(table, run.ends_as)
    elif run.open == 0:
        end(table, R.COMPLETED)
    elif run.state is R.HOLDING and not in_hand:
        table.move_run(R.HELD, "run.held")


def has_children(table: Table) -> bool:
    return any(task.reason is Reason.CHILD for task in table.tasks.values())


def end(table: Table, state: RunState) -> None:
    run = table.run
    run.finished_at, run.due_at = table.now, None
    data = {"round": run.round} | ({"error": run.error} if run.error else {})
    table.move_run(state, f"run.{state.lower()}", data)
