"""What the server is told of a run: as rows, in pieces that a frame has room for."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from edge.agent.micro import asking, rows
from edge.agent.micro.ledger import Case, Ledger
from edge.agent.micro.working import Work, position_of
from edge.messages import RunTold
from scheduler.domain.board import Attempt, Event
from scheduler.domain.tasks import Task

LONGEST = 200 << 10  # characters of one row
WHOLE = 400 << 10  # of one message
MOST = 500  # rows of one message

Row = dict[str, Any]


def told(ledger: Ledger, work: Work, at: float) -> Iterator[RunTold]:
    """All that has changed; the run's own row goes along with each piece."""
    run = work.case.run
    row = text(run_row(work.case, is_new=work.is_new), "input", "output")
    pieces = Pieces()
    for position in sorted(work.changed):
        task = work.changed[position]
        output = work.case.outputs.get(position)
        pieces.add("tasks", text(task_row(task, output), "output", "invocation", "item"))
    for attempt in work.attempts:
        pieces.add("attempts", text(attempt_row(attempt), "output", "detail"))
    for event in work.happened:
        pieces.add("events", text(event_row(event, at), "data"))
    for question in asking.of_run(ledger, run.id) if asks(work) else ():
        pieces.add("questions", text(question, "data", "form"))
    for piece in pieces.all:
        told = {name: tuple(texts) for name, texts in piece.items()}
        yield RunTold(str(run.id), work.case.revision, at, row, **told)


class Pieces:
    def __init__(self) -> None:
        self.all: list[dict[str, list[str]]] = [{}]
        self.size = self.count = 0

    def add(self, name: str, row: str) -> None:
        if self.count >= MOST or (self.count and self.size + len(row) > WHOLE):
            self.all.append({})
            self.size = self.count = 0
        self.all[-1].setdefault(name, []).append(row)
        self.size += len(row)
        self.count += 1


def asks(work: Work) -> bool:
    return any(task.kind == "approval" for task in work.changed.values())


def text(row: Row, *heavy: str) -> str:
    """What is too long to be told is left out, and it is said that it was."""
    found = json.dumps(row)
    for name in heavy:
        if len(found) <= LONGEST:
            break
        row = {**row, name: None, "left_out": [*row.get("left_out", ()), name]}
        found = json.dumps(row)
    return found


def run_row(case: Case, *, is_new: bool) -> Row:
    run, about = case.run, case.about
    row = rows.plain(run)
    if not is_new:
        del row["input"]
    return {
        **row,
        "parent_run": str(run.parent_run) if run.parent_run else None,
        "parent_position": None if run.parent_task is None else position_of(run.parent_task),
        "attempt": about.attempt,
        "triggered_by": about.triggered_by,
        "schedule": about.schedule,
        "tick": about.tick,
        "created_at": about.created,
        "output": parsed_text(case.result),
    }


def task_row(task: Task, output: str | None) -> Row:
    return {**rows.plain(task), "output": parsed_text(output)}


def attempt_row(attempt: Attempt) -> Row:
    row = rows.plain(attempt)
    del row["run_id"], row["task_id"]
    return {
        **row,
        "position": position_of(attempt.task_id),
        "output": parsed_text(attempt.output),
        "detail": None if attempt.detail is None else dict(attempt.detail),
    }


def event_row(event: Event, at: float) -> Row:
    data: Mapping[str, Any] | None = event.data
    return {
        "seq": event.seq,
        "kind": event.kind,
        "position": None if event.task_id is None else position_of(event.task_id),
        "attempt": event.attempt,
        "data": data,
        "at": at,
    }


def parsed_text(text: str | None) -> Any:
    return None if text is None else json.loads(text)
