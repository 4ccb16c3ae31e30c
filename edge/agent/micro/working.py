"""A run while something is decided about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.agent.micro.ledger import Case
from scheduler.domain import scopes
from scheduler.domain.board import MOST_GATHERED, Attempt, Board, Event, Gathered
from scheduler.domain.states import TaskState
from scheduler.domain.tasks import Task


@dataclass(slots=True)
class Work:
    """A run on the table, and what of it is to be told."""

    case: Case
    board: Board
    is_new: bool = False
    changed: dict[int, Task] = field(default_factory=dict)
    wanted: dict[int, str | None] = field(default_factory=dict)  # as it was
    outputs: set[int] = field(default_factory=set)
    attempts: list[Attempt] = field(default_factory=list)
    happened: list[Event] = field(default_factory=list)
    has_changed: bool = False
    was_over: bool = False


def position_of(id: int) -> int:
    """What a board calls by an id is its position here; new rows have their ids below 0."""
    return id - 1 if id > 0 else -1 - id


def parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def results(work: Work) -> Mapping[str, Mapping[str, Any]]:
    return {task.name: result(work, task) for task in work.board.of_role("task")}


def result(work: Work, task: Task) -> Mapping[str, Any]:
    return {
        "status": task.state.value,
        "exit_code": task.exit_code,
        "output": parsed(work.case.outputs.get(task.position)),
        "error": task.error,
        "started_at": task.started_at.isoformat() if task.started_at else None,
        "finished_at": task.finished_at.isoformat() if task.finished_at else None,
    }


def scope_of(work: Work) -> dict[str, Any]:
    """What expressions may speak of that are asked while nothing is settled."""
    run = work.case.run
    of_run = scopes.of_run(
        id=run.id,
        type=run.type,
        record=run.record_id,
        round=run.round,
        labels=run.labels,
        started_at=run.started_at,
    )
    return {"input": run.input, "vars": work.board.vars, "tasks": results(work), "run": of_run}


def gathered(work: Work, position: int) -> Gathered:
    """What the items of a task came to: a list in their order, or a map by their keys."""
    items = [item for item in work.board.of_role("item") if item.of == position and item.item]
    items.sort(key=lambda item: (item.item or {})["index"])
    keys = [(item.item or {})["key"] for item in items]
    each = [item_output(work, item) for item in items]
    found: Any = each if None in keys else dict(zip(keys, each, strict=True))
    text = json.dumps(found)
    return Gathered(text if len(text) <= MOST_GATHERED else None, len(text))


def item_output(work: Work, item: Task) -> Any:
    succeeded = item.state is TaskState.COMPLETED
    return parsed(work.case.outputs.get(item.position)) if succeeded else None
