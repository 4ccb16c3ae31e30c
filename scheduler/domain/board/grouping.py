"""Runs of a group: nothing of a run begins before it has its place."""

from scheduler.domain import templates
from scheduler.domain.board.following import ready
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import OnConflict
from scheduler.domain.orders import EnterGroup
from scheduler.domain.states import Reason

GROUP = "group:"
LONGEST = 200


def enter(table: Table) -> None:
    """Ask for a place, once the run's key is known; raises Invalid where it cannot be."""
    run, wanted = table.run, table.definition.concurrency
    if wanted is None or run.group_key is not None:
        return
    scope = {"input": run.input, "vars": table.definition.vars, "run": {"record": run.record_id}}
    run.group_key = GROUP + templates.read(wanted.key).fill(scope)[:LONGEST]
    ask(table, wanted.on_conflict)


def enter_again(table: Table) -> None:
    """A new round waits for its turn, whatever the first one would have done."""
    if table.run.group_key is not None:
        ask(table, "wait")


def ask(table: Table, on_conflict: OnConflict) -> None:
    run, wanted = table.run, table.definition.concurrency
    if wanted is None or run.group_key is None:
        return
    run.admitted = False
    table.touch_run()
    table.asked.orders.append(
        EnterGroup(
            run_id=run.id,
            key=run.group_key,
            size=wanted.max,
            on_conflict=on_conflict,
        )
    )


def admit(table: Table) -> None:
    """The run has its place."""
    table.run.admitted = True
    table.touch_run()
    for task in table.tasks.values():
        if task.reason is Reason.LIMIT:
            ready(table, task)
