"""A run played through with outcomes that were given beforehand: the board decides as it would."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from executor.base import Ending, Outcome
from scheduler.domain import graph
from scheduler.domain.board import Board, Gathered
from scheduler.domain.errors import Invalid
from scheduler.domain.first_rows import first_row
from scheduler.domain.places import Around, Place
from scheduler.domain.process_types import ProcessType, check_input
from scheduler.domain.runs import Run
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOLDER = 1
MOST_STEPS = 100_000
AWAITED = (Reason.SIGNAL, Reason.APPROVAL, Reason.CHILD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """How a task ends: `fails` is how many of its attempts fail; None is all of them."""

    output: Any = None
    exit_code: int | None = None
    fails: int | None = 0

    def outcome(self, attempt: int) -> Outcome:
        if self.fails is None or attempt <= self.fails:
            code = self.exit_code or 1
            return Outcome(ending=Ending.FAILED, exit_code=code, error=f"exit code {code}")
        output = None if self.output is None else json.dumps(self.output)
        return Outcome(ending=Ending.SUCCEEDED, exit_code=0, output=output)


WELL = Given()


class _Imagined(Around):
    """Whatever is asked of workstations, there are two that have it."""

    def those(self, place: Place) -> list[str]:
        return ["workstation-1", "workstation-2"]


IMAGINED = _Imagined()


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of it; `asked` is what each task was asked to do when it was last begun."""

    status: str
    error: str | None
    tasks: Mapping[str, str]
    asked: Mapping[str, Any]
    output: Any = None
    compensated: str | None = None


def play(
    process_type: ProcessType,
    input: Mapping[str, Any],
    given: Mapping[str, Given] | None = None,
) -> Played:
    """Everything that is not given does well, and brings about nothing."""
    return _Rehearsal(process_type, check_input(process_type, dict(input)), given or {}).play()


@dataclass(slots=True)
class _Seen:
    outputs: dict[int, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    output: Any = None


class _Rehearsal:
    def __init__(
        self, process_type: ProcessType, input: dict[str, Any], given: Mapping[str, Given]
    ) -> None:
        self.given = given
        self.seen = _Seen()
        run = _run(process_type, input)
        rows = [
            first_row(run, each, id=1 + each.position, now=BEGIN)
            for each in graph.templates(process_type)
        ]
        self.board = Board(run, rows, process_type, now=BEGIN)

    def play(self) -> Played:
        for _ in range(MOST_STEPS):
            if not self.step():
                return self.played()
        raise Invalid(f"the run has not ended after {MOST_STEPS} steps")

    def step(self) -> bool:
        """One thing that can be done, the soonest first; False when there is none."""
        board = self.board
        if board.asks():
            self.settle()
        elif not board.run.admitted:
            board.admit()
        elif task := self.first(lambda task: task.state is TaskState.READY):
            self.carry_out(task)
        elif task := self.first(lambda task: task.reason is Reason.LIMIT):
            board.move(task, TaskState.READY)
        elif task := self.first(lambda task: task.reason in AWAITED):
            self.note(task)
            board.deliver(task.id, task.attempt, self.outcome(task))
            self.keep(task)
        else:
            return self.wait()
        return True

    def first(self, wanted: Any) -> Task | None:
        return next((task for task in self.board.tasks.values() if wanted(task)), None)

    def settle(self) -> None:
        board, outputs = self.board, self.seen.outputs
        gathered = {position: self.gathered(position) for position in board.gatherable()}
        undone = {position: outputs.get(position) for position in board.undoing_items()}
        board.settle(self.results(), gathered, undone, IMAGINED)
        for position, text in self.told().items():
            outputs[position] = text

    def told(self) -> dict[int, Any]:
        """What the board itself says that tasks brought about, and the run."""
        asked = self.board.drain()
        for result in asked.results.values():
            self.seen.output = None if result is None else json.loads(result)
        return {
            self.board.by_id[id].position: None if text is None else json.loads(text)
            for id, text in asked.outputs.items()
        }

    def carry_out(self, task: Task) -> None:
        task.state, task.holder, task.started_at = TaskState.IN_PROGRESS, HOLDER, self.board.now
        task.attempt += 1
        self.note(task)
        self.board.record(task.id, task.attempt, HOLDER, self.outcome(task))
        self.keep(task)

    def note(self, task: Task) -> None:
        self.seen.asked[task.name] = task.invocation

    def keep(self, task: Task) -> None:
        self.seen.outputs.update(self.told())

    def outcome(self, task: Task) -> Outcome:
        return self.of(task).outcome(task.attempt)

    def of(self, task: Task) -> Given:
        """What is given for an item itself goes before what is given for its task."""
        if task.name in self.given:
            return self.given[task.name]
        whole = (
            self.board.tasks[task.of].name if task.role == "item" and task.of is not None else ""
        )
        return self.given.get(whole, WELL)

    def wait(self) -> bool:
        """Time passes until something is due."""
        due = [task.due_at for task in self.board.tasks.values() if task.due_at is not None]
        if self.board.run.state.is_final or not due:
            return False
        self.board.now = max(self.board.now + timedelta(milliseconds=1), min(due))
        self.board.wake()
        return True

    def results(self) -> dict[str, dict[str, Any]]:
        return {task.name: self.result(task) for task in self.board.of_role("task")}

    def result(self, task: Task) -> dict[str, Any]:
        return {
            "status": str(task.state),
            "exit_code": task.exit_code,
            "output": self.seen.outputs.get(task.position),
            "error": task.error,
            "started_at": task.started_at.isoformat() if task.started_at else None,
            "finished_at": task.finished_at.isoformat() if task.finished_at else None,
        }

    def gathered(self, position: int) -> Gathered:
        items = [item for item in self.board.of_role("item") if item.of == position and item.item]
        items.sort(key=lambda item: (item.item or {})["index"])
        each = [
            self.seen.outputs.get(item.position) if item.state is TaskState.COMPLETED else None
            for item in items
        ]
        keys = [(item.item or {})["key"] for item in items]
        found: Any = each if None in keys else dict(zip(keys, each, strict=True))
        text = json.dumps(found)
        return Gathered(text, len(text))

    def played(self) -> Played:
        run = self.board.run
        return Played(
            status=str(run.state),
            error=run.error,
            tasks={task.name: str(task.state) for task in self.board.tasks.values()},
            asked=self.seen.asked,
            output=self.seen.output,
            compensated=run.compensated,
        )


def _run(process_type: ProcessType, input: dict[str, Any]) -> Run:
    count = len(graph.tasks_of(process_type))
    return Run(
        id=UUID(int=0),
        type=process_type.name,
        type_version=1,
        record_id=None,
        round=1,
        state=RunState.IN_PROGRESS,
        ends_as=None,
        priority=process_type.priority,
        input=input,
        error=None,
        total=count,
        open=count,
        failed=0,
        events=0,
        started_at=BEGIN,
        finished_at=None,
        timeout=process_type.timeout,
        due_at=None,
    )
