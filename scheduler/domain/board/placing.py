"""Where a task is carried out, if that is not for any worker of its queue to do."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.domain import placement_reading, places, rendering
from scheduler.domain.board.table import Table
from scheduler.domain.definitions import Placement, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.orders import LeavePlace
from scheduler.domain.places import Labelled, Named, Place
from scheduler.domain.tasks import Task

Scope = Mapping[str, Any]


def place(table: Table, task: Task, scope: Scope) -> None:
    """Let it wait in the queue of its place. Raises Invalid where there is no such place."""
    asked = table.definition_of(task).placement
    if asked is None:
        return
    found = where(table, task, asked, scope)
    task.placement = placement_reading.row(asked, found)
    task.queue = queue_of(table, task.placement, found)


def where(table: Table, task: Task, asked: Placement, scope: Scope) -> Place:
    if asked.there and task.of is not None:
        return where_done(table.tasks[task.of])
    if asked.everywhere and task.item is not None:
        return Named(task.item["value"])
    return rendering.place(asked, scope)


def where_done(task: Task) -> Place:
    """The workstation that did what is to be undone now."""
    if task.placement is None:
        return Labelled()
    if taken := task.placement.get("taken"):
        return Named(taken)
    queue = places.of_queue(task.queue)
    return queue if isinstance(queue, Named) else places.read(task.placement["on"])


def queue_of(table: Table, placement: Mapping[str, Any], found: Place) -> str:
    """Where tasks of a run go together, the workstation that took the first takes the others."""
    taken = table.around.taken.get(found.queue) if placement["sticky"] else None
    return Named(taken).queue if taken else found.queue


def everywhere(table: Table, definition: TaskDefinition, scope: Scope) -> dict[str, str]:
    """The workstations that a task goes to, each by its name. None at all is a fault, unless the
    task can do without any of them."""
    assert definition.placement is not None
    asked = rendering.place(definition.placement, scope)
    found = table.around.those(asked)
    least = definition.for_each.min_success if definition.for_each else None
    if not found and least != 0:
        raise Invalid(f"there is not {asked} now", field="on")
    return {name: name for name in found}


def open_window(table: Table, task: Task) -> None:
    """From now on it may begin, until it is too late for it."""
    placement = task.placement
    if placement is None or placement["start_within"] is None or placement["start_before"]:
        return
    last = table.now + timedelta(seconds=placement["start_within"])
    task.placement = {**placement, "start_before": moment(last)}


def close_window(task: Task) -> None:
    """Another attempt has its own time."""
    if task.placement is not None and task.placement["start_before"]:
        task.placement = {**task.placement, "start_before": None}


def is_too_late(table: Table, task: Task) -> bool:
    last = task.placement["start_before"] if task.placement else None
    return last is not None and datetime.fromisoformat(last) <= table.now


def by_when(task: Task) -> str:
    assert task.placement is not None
    last = datetime.fromisoformat(task.placement["start_before"])
    return f"before {last:%Y-%m-%d %H:%M:%S %Z}, on {places.read(task.placement['on'])}"


def moment(at: datetime) -> str:
    """In one form and one zone: the database compares them as texts."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def note_lost(task: Task) -> None:
    """What its workstation says of this attempt after all is the original's word."""
    if task.placement is not None:
        lost = [*task.placement.get("lost", ()), task.attempt]
        task.placement = {**task.placement, "lost": lost}


def is_replaced(task: Task) -> bool:
    return task.placement is not None and bool(task.placement["replace"])


def is_not_repeated(task: Task) -> bool:
    """Nobody knows what became of it, and it is not for us to do it again."""
    return task.on_lost == "fail" or (task.placement is not None and task.on_lost == "wait")


def look_elsewhere(table: Table, task: Task) -> None:
    """Another workstation may take it; and with it what is to go together with it."""
    assert task.placement is not None
    task.placement = {name: each for name, each in task.placement.items() if name != "taken"}
    selector = places.read(task.placement["on"]).queue
    if task.placement["sticky"]:
        table.asked.orders.append(LeavePlace(run_id=task.run_id, selector=selector))
    task.queue = selector


def is_refused_by(task: Task) -> dict[str, str]:
    """Who will not do it, and why."""
    return dict((task.placement or {}).get("refused", {}))


def go_to(task: Task, name: str) -> None:
    """To this one alone: in the queue that it came from it would be claimed by the same again."""
    task.queue = Named(name).queue


def candidates(task: Task, others: Iterable[places.Station]) -> list[str]:
    """Of these, in their order, those that it may go to."""
    assert task.placement is not None
    wanted = places.read(task.placement["on"])
    return [each.name for each in others if places.matches(wanted, each.name, each.labels)]
