"""Runs of a group: nothing of a run begins before it has its place."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain import rendering
from scheduler.domain.board.following import ready
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import OnConflict
from scheduler.domain.orders import EnterGroup
from scheduler.domain.states import Reason


def enter(table: Table, scope: Mapping[str, Any]) -> None:
    """Ask for a place, once the run's key is known; raises Invalid where it cannot be."""
    run, wanted = table.run, table.definition.concurrency
    if wanted is None or run.group_key is not None:
        return
    run.group_key = f"group:{run.type}:{rendering.concurrency_key(table.definition, scope)}"
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
