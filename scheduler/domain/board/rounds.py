"""What opens a run that has ended once more, and what settles a task by word instead of by work."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from scheduler.domain.board import grouping, undoing
from scheduler.domain.board.ending import settle_run
from scheduler.domain.board.following import advance, after, consider_all, is_unresolved, skip
from scheduler.domain.board.joining import is_loser, let_go
from scheduler.domain.board.parking import leave
from scheduler.domain.board.table import Table
from scheduler.domain.board.verbs import require
from scheduler.domain.errors import Conflict, Invalid
from scheduler.domain.states import RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState

ENDED = (R.FAILED, R.STOPPED)
SETTLED_BY_WORD = (T.PENDING, T.WAITING, T.READY)


def retry(table: Table, by: str, *, task: str | None = None, whole: bool = False) -> None:
    """Open a new round: from what failed, from one task, or all of it."""
    require(table, "retry", ENDED)
    named = [retriable(table, task)] if task is not None else []
    open_round(table, to_do_again(table, named, whole=whole), named, whole=whole)
    table.move_run(R.IN_PROGRESS, "run.retried", {"by": by, "round": table.run.round})
    go_on(table)


def skip_task(table: Table, by: str, task: str, why: str) -> None:
    """The task is not carried out; what needs it goes by that, as if its condition was false."""
    mine, data = prepared(table, by, task), {"by": by, "why": why}
    skip(table, mine, **data)
    advance(table, mine)
    go_on(table)


def mark_done(table: Table, by: str, task: str, output: Any, why: str) -> None:
    """The task counts as done, on the word of somebody, with the output that they give."""
    mine = prepared(table, by, task)
    table.asked.outputs[mine.id] = None if output is None else json.dumps(output)
    for item in table.items_of(mine):
        let_go(table, item, why)
    table.finish(mine, T.COMPLETED, passed=True)
    table.tell("task.marked_done", mine, data={"by": by, "why": why})
    advance(table, mine)
    go_on(table)


def compensate(table: Table, by: str) -> None:
    """Undo what was done, or what of it was not undone yet."""
    require(table, "undo", ENDED)
    run = table.run
    if not undoing.not_undone(table):
        raise Conflict("nothing that the run did is left to be undone")
    run.ends_as, run.finished_at = run.state, None
    undoing.begin(table)
    table.tell("run.undo_asked", data={"by": by})
    settle_run(table)


def prepared(table: Table, by: str, name: str) -> Task:
    """A task whose end is a matter of words now; where its run has ended, in a new round."""
    task, run = named_task(table, name), table.run
    if run.state in ENDED and task.state in (T.FAILED, T.STOPPED) and task.role == "task":
        again = [each for each in to_do_again(table, [task], whole=False) if each is not task]
        open_round(table, [*again, task], [])
        table.move_run(R.IN_PROGRESS, "run.retried", {"by": by, "round": run.round})
        return task
    if run.state.is_final or run.state in (R.STOPPING, R.COMPENSATING):
        raise Conflict(f"task {name} is {task.state}, and its run is {run.state}")
    if task.state not in SETTLED_BY_WORD or task.wanted:
        remedy = ": stop the run first" if task.state is T.IN_PROGRESS else ""
        raise Conflict(f"task {name} is {task.state}{remedy}")
    leave(table, task, "stop", "nobody waits for it any more")
    return task


def named_task(table: Table, name: str) -> Task:
    """By its name, or else by its position."""
    tasks = table.of_role("task", "item", "undo", "hook")
    named = [task for task in tasks if task.name == name]
    placed = [task for task in tasks if str(task.position) == name]
    for task in (*named, *placed):
        return task
    raise Invalid(f"the run has no task named {name!r}", field="task")


def retriable(table: Table, name: str) -> Task:
    task = named_task(table, name)
    if task.role in ("undo", "hook"):
        raise Conflict(f"{name} is carried out when its run ends, and not tried again by itself")
    return task


def to_do_again(table: Table, named: Sequence[Task], *, whole: bool) -> list[Task]:
    """In the order of the definition. What an undo took back is to be done again, too."""
    if whole:
        return table.of_role("task")
    taken_back = [with_items(table, task) for task in undoing.undone(table)]
    first = [task for task in table.of_role("task") if is_open_again(table, task)]
    named = [with_items(table, task) for task in named]
    positions = {task.position for task in (*first, *named, *taken_back)}
    positions |= after(table, positions)
    return [task for task in table.of_role("task") if task.position in positions]


def is_open_again(table: Table, task: Task) -> bool:
    if task.state is T.STOPPED:
        return not is_loser(table, task)
    return is_unresolved(task)


def with_items(table: Table, task: Task) -> Task:
    return task if task.of is None else table.tasks[task.of]


def open_round(
    table: Table, again: Sequence[Task], named: Iterable[Task], *, whole: bool = False
) -> None:
    run = table.run
    table.begins_anew = whole
    anew = after(table, [task.position for task in again]) | {task.position for task in named}
    for task in again:
        if whole or task.position in anew or not has_items_to_keep(task):
            for item in table.items_of(task):
                table.reopen(item)
        task.iteration = 0
        table.reopen(task)
    for item in {task.position: task for task in (*undoing.undone(table), *named)}.values():
        if item.role == "item":
            table.reopen(item)
    run.round += 1
    run.ends_as = run.error = run.finished_at = run.compensated = None
    run.undoes = False
    run.due_at = table.now + run.timeout if run.timeout else None
    table.asked.results[run.id] = None
    table.asked.redriven.append(run.id)
    grouping.enter_again(table)
    table.derive()


def has_items_to_keep(task: Task) -> bool:
    return task.state in (T.FAILED, T.STOPPED)


def go_on(table: Table) -> None:
    consider_all(table)
    settle_run(table)
