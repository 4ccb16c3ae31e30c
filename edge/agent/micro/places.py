"""Places under limits, and in groups of runs: those of this workstation, which are its own."""

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from edge.agent.micro.ledger import GROUP
from edge.agent.micro.working import Work
from scheduler.domain.board import Board
from scheduler.domain.orders import EnterGroup
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

if TYPE_CHECKING:
    from edge.agent.micro.decision import Decision


def seek(decision: "Decision", work: Work, task: Task) -> None:
    """A place under each of its keys, or under none of them."""
    if task.reason is not Reason.LIMIT or not work.case.run.admitted:
        return
    ledger, run = decision.ledger, work.case.run
    full = ledger.full(task.limit_keys, decision.stamp)
    if full is not None:
        task.blocked_on = full
    else:
        ledger.take(task.limit_keys, run.id, task.position, decision.stamp)
        work.board.move(task, TaskState.READY)
        if run.state is RunState.PENDING:
            work.board.move_run(RunState.IN_PROGRESS, None)
    work.board.touch(task)
    decision.settle(work)


def release(decision: "Decision", task: Task) -> None:
    for key in decision.ledger.release(task.run_id, task.position):
        decision.later(partial(offer, decision, key))


def lapse(decision: "Decision") -> None:
    """Windows that are over leave their places."""
    for key in decision.ledger.lapse(decision.stamp):
        decision.later(partial(offer, decision, key))


def offer(decision: "Decision", key: str) -> None:
    """Let those look again that found no place under this key, as long as there is one."""
    for run, position in decision.ledger.blocked_on(key):
        if decision.ledger.full([key], decision.stamp):
            return
        work = decision.work(run)
        if work is not None:
            seek(decision, work, work.board.tasks[position])


def enter(decision: "Decision", order: EnterGroup) -> None:
    """A place in its group for the run if there is one; else what its type says of one run more."""
    ledger = decision.ledger
    ledger.change("insert or replace into micro_limits values (?, ?, null)", order.key, order.size)
    if ledger.full([order.key], decision.stamp) is None:
        admit(decision, order.key, order.run_id)
        return
    if order.on_conflict == "skip":
        why = f"skipped: {order.key} is taken by another run"
        decision.obey(order.run_id, "stop", "engine", why)
    elif order.on_conflict == "replace":
        for run in ledger.members(order.key):
            why = f"replaced by run {order.run_id}"
            decision.obey(run, "stop", f"run {order.run_id}", why)


def admit(decision: "Decision", key: str, run: UUID) -> None:
    decision.ledger.take([key], run, GROUP, decision.stamp)
    decision.touch(run, Board.admit)


def leave(decision: "Decision", run: UUID) -> None:
    """A run that has ended leaves its place to the one that has waited longest."""
    for key in decision.ledger.release(run, GROUP):
        decision.later(partial(let_in, decision, key))


def let_in(decision: "Decision", key: str) -> None:
    for run in decision.ledger.waiting_for(key):
        if decision.ledger.full([key], decision.stamp):
            return
        admit(decision, key, run)
