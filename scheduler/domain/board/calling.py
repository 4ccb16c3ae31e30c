"""What a workflow calls while a program carries it out, and what becomes of both.

A call is a task of its own with nobody's needs. Those that are over are not on the board: what is
to be known of them is in the rows, and the workflow is told by whoever wrote them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain import calls
from scheduler.domain.board import filling
from scheduler.domain.board.ending import settle_run
from scheduler.domain.board.joining import let_go
from scheduler.domain.board.outcomes import again, give_up, release
from scheduler.domain.board.rows import new_row
from scheduler.domain.board.table import Table
from scheduler.domain.board.verbs import hold
from scheduler.domain.errors import Invalid
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState

HOLDING = (R.HOLDING, R.HELD)
BRINGS = (
    "the token of this worker may not have others carry out what it brings (`run`, `shell`, "
    "`python`, `http`): give it the scopes workers and process-types, or publish a type and call "
    "that with `process`"
)


@dataclass(frozen=True, slots=True)
class Hand:
    """Who says something of which attempt."""

    task: int
    attempt: int
    holder: int


@dataclass(frozen=True, slots=True)
class Called:
    position: int
    name: str
    task: Mapping[str, Any]  # as a definition has it, with values
    brings: bool = False  # it may be code that others carry out


def in_hand(table: Table, hand: Hand) -> Task | None:
    """None if the attempt is somebody else's, or over."""
    task = table.by_id.get(hand.task)
    if task is None or (task.state, task.attempt, task.holder) != (
        T.IN_PROGRESS,
        hand.attempt,
        hand.holder,
    ):
        return None
    return task


def call(table: Table, hand: Hand, asked: Sequence[Called]) -> bool:
    """Begin what a workflow calls; what it has called already is what it was."""
    workflow = in_hand(table, hand)
    if workflow is None:
        return False
    for each in asked:
        if each.position not in table.tasks:
            begin(table, workflow, each)
    settle_run(table)
    return True


def begin(table: Table, workflow: Task, asked: Called) -> None:
    try:
        definition = calls.called(asked.name, asked.task)
    except Invalid as fault:
        refuse(table, workflow, asked, str(fault))
        return
    if calls.brings_code(definition) and not asked.brings:
        refuse(table, workflow, asked, BRINGS)
        return
    task = new_row(
        table, "call", asked.name, definition, of=workflow.position, position=asked.position
    )
    task.item = {"task": dict(asked.task)}
    if table.goes_on(task):
        filling.begin(table, task, {})
    else:
        task.error = "its workflow is to stop"
        table.finish(task, T.STOPPED, passed=False)


def refuse(table: Table, workflow: Task, asked: Called, why: str) -> None:
    """It is a call all the same: what is made of it is known when the code runs again."""
    noop = calls.called(asked.name, {"noop": True})
    task = new_row(table, "call", asked.name, noop, of=workflow.position, position=asked.position)
    task.item = {"task": {"noop": True}, "refused": True}
    give_up(table, task, Outcome(ending=Ending.FAILED, error=why, retryable=False))


def drop(table: Table, hand: Hand, position: int) -> None:
    """Nobody waits for the call any more: what is still going on of it is stopped."""
    workflow, task = in_hand(table, hand), table.tasks.get(position)
    if workflow is not None and task is not None and task.of == workflow.position:
        table.asked.notes[task.id] = {"given_up": True}
        let_go(table, task, "nobody waits for it any more")
        settle_run(table)


def park(table: Table, hand: Hand, awaited: Sequence[int]) -> bool:
    """Nothing is left to do until one of these calls is over: if one is, or there are none, it is
    offered again at once. It costs the task nothing."""
    task = in_hand(table, hand)
    if task is None:
        return False
    release(table, task)
    at_once = not awaited or any(is_over(table, each) for each in awaited)
    if at_once or task.is_ending or table.run.state in HOLDING or not table.goes_on(task):
        again(table, task)
    else:
        table.move(task, T.WAITING, Reason.CALLS)
        table.tell("task.parked", task)
    settle_run(table)
    return True


def is_over(table: Table, position: int) -> bool:
    task = table.tasks.get(position)
    return task is None or task.state.is_final


def diverge(table: Table, hand: Hand, told: Mapping[str, Any]) -> bool:
    """The code does something else than it did: the run is held until somebody has looked."""
    task = in_hand(table, hand)
    if task is None:
        return False
    table.tell("task.diverged", task, data=told)
    release(table, task)
    if table.run.state in (R.PENDING, R.IN_PROGRESS):
        again(table, task)
        hold(table, f"workflow {task.name}")
    else:
        again(table, task)
        settle_run(table)
    return True
