"""The rows of a run and its tasks, and the few ways in which they are changed.

Whatever is changed here keeps the counters: `open` and `needed` of those that wait for a task
that ends, `open` and `failed` of the run.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scheduler.domain import calls, graph, places
from scheduler.domain.board.changes import Changes, Event
from scheduler.domain.definitions import ProcessType, TaskDefinition
from scheduler.domain.orders import Rewind
from scheduler.domain.runs import Run
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Role, Task, priority_of, rank

if TYPE_CHECKING:
    from executor.base import Outcome


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
        self.definitions = {task.name: task for task in graph.tasks_of(definition)}
        self.definition = definition
        self._roles: dict[Role, list[Task]] = {}
        for task in tasks:
            self._roles.setdefault(task.role, []).append(task)
        self.now = now
        self.chance = chance  # spreads retries; given, so that deciding stays a function
        self.limited = frozenset(limited)  # queues with a size
        self.vars: Mapping[str, Any] = definition.vars  # with those of the system and the record
        self.around = places.Around()  # the workstations, as far as somebody asks for them
        self.limit_sizes: dict[str, int] = {}
        self.limit_windows: dict[str, timedelta] = {}  # keys whose places are used up for so long
        self.asked = Changes()
        self.succeeded: dict[int, Outcome] = {}  # repeated tasks: was it the last time?
        self.wants_result = False  # all is done; what the run brought about is to be worked out
        self.has_result = False
        self.next_position = sum(task.role != "call" for task in tasks)
        self.begins_anew = False  # what is done again does not go by what was done before
        self._called: dict[int, TaskDefinition] = {}
        self._dirty: dict[int, Task] = {}
        self._run_changed = False

    # Reading

    @cached_property
    def hooks(self) -> dict[str, TaskDefinition]:
        """By the names of their rows."""
        return {graph.hook_name(name): hook for name, hook in self.definition.hooks.items()}

    def definition_of(self, task: Task) -> TaskDefinition:
        if task.role == "hook":
            return self.hooks[task.name]
        if task.of is None:
            return self.definitions[task.name]
        if task.role == "call":
            return self._definition_of_call(task)
        definition = self.definition_of(self.tasks[task.of])
        if task.role == "undo" and definition.undo is not None:
            return definition.undo
        return definition

    def _definition_of_call(self, task: Task) -> TaskDefinition:
        assert task.item is not None
        if task.position not in self._called:
            self._called[task.position] = calls.called(task.name, task.item["task"])
        return self._called[task.position]

    def of_role(self, *roles: Role) -> list[Task]:
        return [task for role in roles for task in self._roles.get(role, ())]

    def of_state(self, *states: TaskState) -> list[Task]:
        return [task for task in self.tasks.values() if task.state in states]

    def items_of(self, task: Task) -> list[Task]:
        if task.role != "task" or self.definition_of(task).for_each is None:
            return []
        mine = (each for each in self.of_role("item") if each.of == task.position)
        return [each for each in mine if each.item is not None]

    def before(self, task: Task) -> list[Task]:
        """Those that a task needs; items are not among them."""
        return self._edges[0].get(task.position, [])

    def callers(self, task: Task) -> list[Task]:
        """Those whose failure a handler is for."""
        return self._edges[1].get(task.position, [])

    @cached_property
    def _edges(self) -> tuple[dict[int, list[Task]], dict[int, list[Task]]]:
        needs: dict[int, list[Task]] = {}
        calls: dict[int, list[Task]] = {}
        for task in self.of_role("task"):
            for position in task.successors:
                needs.setdefault(position, []).append(task)
            if task.handler is not None:
                calls.setdefault(task.handler, []).append(task)
        return needs, calls

    @cached_property
    def kept(self) -> frozenset[str]:
        return graph.kept(tuple(self.definitions.values()))

    def goes_on(self, task: Task) -> bool:
        """May a task begin, or begin again, as its run now is?"""
        if task.is_ending:
            return False
        if task.role == "hook":
            return True
        if task.role == "undo":
            return self.run.state is RunState.COMPENSATING
        if task.role == "call" and task.of is not None:
            return self.goes_on(self.tasks[task.of])
        if self.run.state in (RunState.STOPPING, RunState.COMPENSATING):
            return False
        name = task.name if task.of is None else self.tasks[task.of].name
        return not self.run.is_failing or name in self.kept

    def satisfies(self, task: Task, successor: Task) -> bool:
        """Whether a task that ended is one that its successor no longer waits for."""
        if successor.position == task.handler:
            return calls_handler(task)
        if task.state is TaskState.SKIPPED and task.role == "task":
            return graph.counts_skipped(self.definition_of(successor))
        return bool(task.passed)

    # Writing

    def changes(self) -> Changes:
        self.asked.new_tasks = [task for task in self._dirty.values() if task.id < 0]
        self.asked.tasks = [task for task in self._dirty.values() if task.id >= 0]
        self.asked.runs = [self.run] if self._run_changed else []
        return self.asked

    def drain(self) -> Changes:
        """The changes, of which the caller takes care: the table knows of none any more.

        A run whose result is yet to be worked out stays back: nothing is open in it, and it has
        not ended, which is not to be written.
        """
        asked = self.changes()
        if self.wants_result:
            asked.runs = []
        self.asked, self._dirty = Changes(), {}
        self._run_changed = self._run_changed and self.wants_result
        return asked

    def add(self, task: Task) -> None:
        """A new row; it gets its id when it is written."""
        task.id = -1 - task.position
        self.next_position += task.role != "call"
        self.tasks[task.position] = self.by_id[task.id] = task
        self._roles.setdefault(task.role, []).append(task)
        self.run.total += 1
        self.run.open += 1
        self.touch(task)
        self.touch_run()

    def touch(self, task: Task) -> None:
        self._dirty[task.position] = task

    def want(self, task: Task, what: str) -> None:
        task.wanted = what
        self.touch(task)

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
        had_items = in_items(task)
        task.state, task.reason, task.due_at, task.blocked_on = state, reason, due_at, None
        self.touch(task)
        if had_items and not in_items(task):
            self._recount(task)

    def finish(self, task: Task, state: TaskState, *, passed: bool) -> None:
        """The end of a task that has not ended; those that wait for it have one less to wait for.

        Who calls this goes on with `following.advance`, unless nothing can follow any more.
        """
        self.move(task, state)
        task.passed = passed
        task.finished_at = self.now
        task.wanted = None
        self.run.open -= 1
        self.run.failed += state is TaskState.FAILED and task.role != "call"
        self.touch_run()
        for successor in self.following(task):
            if counts(task, successor):
                successor.open -= 1
                successor.needed = max(0, successor.needed - self.satisfies(task, successor))
                self.touch(successor)

    def _recount(self, task: Task) -> None:
        """Its counters were those of its items, and are now of those before it again."""
        before = [*self.before(task), *self.callers(task)]
        task.open = sum(not each.state.is_final for each in before)
        satisfied = sum(each.state.is_final and self.satisfies(each, task) for each in before)
        task.needed = max(0, task.required - satisfied)

    def reopen(self, task: Task) -> None:
        """A task that ended will be carried out once more. The counters of those that wait for it
        are to be derived after that."""
        if task.kind == "workflow" and task.state.is_final:
            keeps = task.state in (TaskState.FAILED, TaskState.STOPPED) and not self.begins_anew
            self.asked.orders.append(Rewind(task=task, keeps=keeps))
        self.run.open += task.state.is_final
        self.run.failed -= task.state is TaskState.FAILED
        self.touch_run()
        self.move(task, TaskState.PENDING)
        task.passed = task.wanted = task.exit_code = task.error = None
        task.started_at = task.finished_at = None
        task.counted = task.lost = 0
        task.rank = rank(priority_of(task.rank), started=True)
        self.asked.outputs[task.id] = None
        if task.settles:
            task.invocation, task.limit_keys = None, []
        elif task.placement is not None:
            task.placement = places.afresh(task.placement)
            task.queue = places.read(task.placement["on"]).queue

    def following(self, task: Task) -> list[Task]:
        handler = [] if task.handler is None else [task.handler]
        return [self.tasks[position] for position in (*task.successors, *handler)]

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

    def derive(self) -> None:
        """Compute every counter again from the states."""
        satisfied = dict.fromkeys(self.tasks, 0)
        unfinished = dict.fromkeys(self.tasks, 0)
        for task in self.tasks.values():
            for successor in self.following(task):
                if counts(task, successor):
                    over = task.state.is_final
                    unfinished[successor.position] += not over
                    satisfied[successor.position] += over and self.satisfies(task, successor)
        for position, task in self.tasks.items():
            required = len(self.items_of(task)) if in_items(task) else task.required
            counters = (max(0, required - satisfied[position]), unfinished[position])
            if counters != (task.needed, task.open):
                task.needed, task.open = counters
                self.touch(task)
        self.run.open = sum(not task.state.is_final for task in self.tasks.values())
        self.run.failed = sum(
            task.state is TaskState.FAILED and task.role != "call" for task in self.tasks.values()
        )
        self.touch_run()


def in_items(task: Task) -> bool:
    """Its items are being carried out: its counters are theirs."""
    return task.reason is Reason.ITEMS


def counts(task: Task, successor: Task) -> bool:
    return (task.role == "item") == in_items(successor)


def calls_handler(task: Task) -> bool:
    """A task that failed for good, and whose failure goes to its handler."""
    return task.state is TaskState.FAILED and not task.passed
