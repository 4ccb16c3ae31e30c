"""The rows of a run and its tasks, and the few ways in which they are changed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from scheduler.domain.board.changes import Changes, Event
from scheduler.domain.definitions import ProcessType, TaskDefinition
from scheduler.domain.runs import Run
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task


class Table:
    """Everything that decides works on one of these; nothing else writes to its rows."""

    def __init__(
        self,
        run: Run,
        tasks: Sequence[Task],
        definition: ProcessType,
        *,
        now: datetime,
        chance: float = 0.5,
        limited: Iterable[str] = (),
    ) -> None:
        self.run = run
        self.tasks = {task.position: task for task in tasks}
        self.by_id = {task.id: task for task in tasks}
        self.definitions = {task.name: task for task in definition.tasks}
        self.definition = definition
        self.now = now
        self.chance = chance  # spreads retries; given, so that deciding stays a function
        self.limited = frozenset(limited)  # queues with a size
        self.limit_sizes: dict[str, int] = {}
        self.asked = Changes()
        self._dirty: dict[int, Task] = {}
        self._run_changed = False

    def definition_of(self, task: Task) -> TaskDefinition:
        return self.definitions[task.name]

    def in_state(self, *states: TaskState) -> list[Task]:
        return [task for task in self.tasks.values() if task.state in states]

    def changes(self) -> Changes:
        self.asked.tasks = list(self._dirty.values())
        self.asked.runs = [self.run] if self._run_changed else []
        return self.asked

    def touch(self, task: Task) -> None:
        self._dirty[task.id] = task

    def touch_run(self) -> None:
        self._run_changed = True

    def move(
        self,
        task: Task,
        state: TaskState,
        reason: Reason | None = None,
        *,
        due_at: datetime | None = None,
    ) -> None:
        task.state, task.reason, task.due_at, task.blocked_on = state, reason, due_at, None
        self.touch(task)

    def finish(self, task: Task, state: TaskState, *, passed: bool) -> None:
        self.move(task, state)
        task.passed = passed
        task.finished_at = self.now
        task.wanted = None

    def move_run(
        self, state: RunState, kind: str | None, data: Mapping[str, Any] | None = None
    ) -> None:
        self.run.state = state
        self.touch_run()
        if kind:
            self.tell(kind, data=data)

    def tell(
        self,
        kind: str,
        task: Task | None = None,
        *,
        attempt: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.run.events += 1
        self.touch_run()
        self.asked.events.append(
            Event(
                run_id=self.run.id,
                seq=self.run.events,
                kind=kind,
                task_id=task.id if task else None,
                attempt=attempt or (task.attempt or None if task else None),
                data=data,
            )
        )
