"""A run and its tasks, laid out while somebody who holds the run's lock decides what follows.

Pure: values go in, the board is changed, and `changes` says what must be written. Plain success
never comes here, it is arithmetic in SQL (sql/queries/tasks.sql, `record`); everything else does.

Invariants, checked by `doctor` and by the tests: `needed` is the number of successes a task
still misses, `open` the number of its predecessors that are not final, and a run's `open` the
number of its tasks that are not final. `derive` computes all three from the rows.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from executor.base import Ending, Outcome
from scheduler.domain import rendering, retries
from scheduler.domain.errors import Conflict, Invalid
from scheduler.domain.process_types import ProcessType, TaskDefinition
from scheduler.domain.runs import Run
from scheduler.domain.states import AttemptState, Reason, RunState, TaskState
from scheduler.domain.tasks import Task, rank

R, T = RunState, TaskState

MOST_LOSSES = 3  # a task that kills its holder ends; a loss uses up no retry
UNCOUNTED = (Ending.LOST, Ending.STOPPED)  # nor does a worker that leaves
IN_FLIGHT = (T.READY, T.IN_PROGRESS)
STARTABLE = (R.PENDING, R.IN_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One line of the attempts table: written once, when the attempt is over."""

    run_id: UUID
    task_id: int
    number: int
    round: int
    state: AttemptState
    counted: bool
    holder: int | None
    started_at: datetime | None
    exit_code: int | None
    output: str | None
    error: str | None
    detail: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a run's history, numbered under the run's lock."""

    run_id: UUID
    seq: int
    kind: str
    task_id: int | None = None
    attempt: int | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A task that gave up, kept until somebody decides."""

    run_id: UUID
    task_id: int
    round: int
    type: str
    task: str
    error: str
    fingerprint: str


@dataclass(slots=True)
class Changes:
    """What a decision asks the store to write, in one transaction."""

    runs: list[Run] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    outputs: dict[int, str | None] = field(default_factory=dict)
    redriven: list[UUID] = field(default_factory=list)

    def add(self, other: "Changes") -> None:
        for name in ("runs", "tasks", "attempts", "events", "letters", "redriven"):
            getattr(self, name).extend(getattr(other, name))
        self.outputs.update(other.outputs)


class Board:
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
        self._dirty: dict[int, Task] = {}
        self._changes = Changes()
        self._run_changed = False

    # What happened to an attempt

    def record(self, task_id: int, attempt: int, holder: int, outcome: Outcome) -> bool:
        """Close an attempt; False if it is no longer the one in hand: its result is late."""
        task = self.by_id[task_id]
        if (task.state, task.attempt, task.holder) != (T.IN_PROGRESS, attempt, holder):
            return False
        self._close(task, outcome)
        match outcome.ending:
            case Ending.SUCCEEDED:
                self._complete(task, outcome)
            case Ending.STOPPED:
                self._stopped(task, outcome)
            case Ending.LOST:
                self._lost(task, outcome)
            case Ending.FAILED | Ending.TIMED_OUT:
                self._failed(task, outcome)
        self._settle_run()
        return True

    def late(self, task_id: int, attempt: int, outcome: Outcome) -> None:
        """Keep a result that came after its attempt was given up: evidence, not truth."""
        self._tell(
            "task.late_result",
            self.by_id[task_id],
            attempt=attempt,
            data={"ending": outcome.ending, "exit_code": outcome.exit_code},
        )

    def hand_back(self, task_id: int, attempt: int, holder: int) -> bool:
        """Give a task back that was claimed and never begun: it costs nothing."""
        task = self.by_id[task_id]
        if (task.state, task.attempt, task.holder) != (T.IN_PROGRESS, attempt, holder):
            return False
        self._release(task)
        self._again(task)
        self._settle_run()
        return True

    # What people and clocks ask

    def hold(self, by: str) -> None:
        if self.run.state in (R.HOLDING, R.HELD):
            return
        self._require("hold", STARTABLE)
        for task in self.tasks.values():
            if task.state is T.READY or task.reason is Reason.LIMIT:
                self._move(task, T.WAITING, Reason.HOLD)
        self._move_run(R.HOLDING, "run.holding", {"by": by})
        self._settle_run()

    def resume(self, by: str) -> None:
        if self.run.state in STARTABLE:
            return
        self._require("resume", (R.HOLDING, R.HELD))
        self._move_run(R.IN_PROGRESS, "run.resumed", {"by": by})
        for task in self.tasks.values():
            if task.reason is Reason.HOLD:
                self._ready(task)
        self._settle_run()

    def stop(self, by: str, *, kill: bool = False, why: str | None = None) -> None:
        if self.run.state.is_final:
            raise Conflict(f"the run is already {self.run.state}: there is nothing to stop")
        data = {"by": by, "kill": kill} | ({"why": why} if why else {})
        self._wind_down(R.STOPPED, why or f"stopped by {by}", "kill" if kill else "stop", data)

    def expire(self) -> None:
        """The run's own timeout has passed."""
        run = self.run
        if run.state.is_final or run.state is R.STOPPING:
            return
        if run.due_at is None or run.due_at > self.now:
            return  # it ended, and a new round began, since somebody looked
        limit = run.timeout or timedelta()
        error = f"the run did not end within {limit.total_seconds():g} s"
        self._wind_down(R.FAILED, error, "stop", {"error": error})

    def retry(self, by: str, *, task: str | None = None, whole: bool = False) -> None:
        """Open a new round: from what failed, from one task, or all of it."""
        self._require("retry", (R.FAILED, R.STOPPED))
        chosen = self._chosen(task, whole)
        run = self.run
        run.round += 1
        run.ends_as = run.error = run.finished_at = None
        run.due_at = self.now + run.timeout if run.timeout else None
        for each in chosen:
            self._reopen(each)
        self.derive()
        self._move_run(R.IN_PROGRESS, "run.retried", {"by": by, "round": run.round})
        self._changes.redriven.append(run.id)
        for each in chosen:
            for skipped in self._consider(each):
                self._advance(skipped)
        self._settle_run()

    def wake(self) -> None:
        """Whatever waits for a time that has come goes on."""
        for task in self.tasks.values():
            due = task.due_at is not None and task.due_at <= self.now
            if task.state is T.WAITING and due and task.reason is not Reason.SETTLE:
                self._ready(task)
        self._settle_run()

    def look_again(self) -> None:
        """Put what waits for a place under a limit up for another look."""
        for task in self.tasks.values():
            if task.reason is Reason.LIMIT:
                self._ready(task)

    # Settling

    def unsettled(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.reason is Reason.SETTLE]

    def settle(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Render what waits to be rendered; `results` holds the tasks' results by name."""
        for task in self.unsettled():
            if task.reason is Reason.SETTLE:  # still: another's failure may have ended it
                self._settle(task, self._scope(results))
        self._settle_run()

    def _scope(self, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        run = self.run
        return {
            "input": run.input,
            "vars": self.definition.vars,
            "tasks": results,
            "run": {
                "id": str(run.id),
                "type": run.type,
                "record": run.record_id,
                "round": run.round,
            },
        }

    def _settle(self, task: Task, scope: Mapping[str, Any]) -> None:
        definition = self.definitions[task.name]
        try:
            task.invocation = rendering.render(definition, scope)
            keys = rendering.limit_keys(self.definition, definition, scope)
        except Invalid as fault:
            error = f"cannot be made ready: {fault}"
            self._give_up(task, Outcome(ending=Ending.FAILED, error=error, retryable=False))
            return
        task.limit_keys = [key for key, _ in keys]
        self.limit_sizes.update(keys)
        self._ready(task)

    # What the store is asked to write

    def changes(self) -> Changes:
        self._changes.tasks = list(self._dirty.values())
        self._changes.runs = [self.run] if self._run_changed else []
        return self._changes

    def derive(self) -> None:
        """Compute every counter again from the states."""
        satisfied = dict.fromkeys(self.tasks, 0)
        unfinished = dict.fromkeys(self.tasks, 0)
        for task in self.tasks.values():
            for successor in task.successors:
                satisfied[successor] += bool(task.passed)
                unfinished[successor] += not task.state.is_final
            if task.handler is not None:
                satisfied[task.handler] += calls_handler(task)
                unfinished[task.handler] += not task.state.is_final
        for position, task in self.tasks.items():
            counters = (max(0, task.required - satisfied[position]), unfinished[position])
            if counters != (task.needed, task.open):
                task.needed, task.open = counters
                self._touch(task)
        self.run.open = sum(not task.state.is_final for task in self.tasks.values())
        self.run.failed = sum(task.state is T.FAILED for task in self.tasks.values())
        self._run_changed = True

    # The parts

    def _require(self, verb: str, states: Sequence[RunState]) -> None:
        if self.run.state not in states:
            raise Conflict(
                f"cannot {verb} a run that is {self.run.state}: "
                f"it must be {' or '.join(sorted(states))}"
            )

    def _close(self, task: Task, outcome: Outcome) -> None:
        self._changes.attempts.append(
            Attempt(
                run_id=self.run.id,
                task_id=task.id,
                number=task.attempt,
                round=self.run.round,
                state=AttemptState(outcome.ending),
                counted=outcome.counted,
                holder=task.holder,
                started_at=task.started_at,
                exit_code=outcome.exit_code,
                output=outcome.output,
                error=outcome.error,
                detail=outcome.detail,
            )
        )
        task.exit_code, task.error = outcome.exit_code, outcome.error
        self._changes.outputs[task.id] = outcome.output
        task.counted += outcome.counted and outcome.ending not in UNCOUNTED
        self._release(task)

    def _release(self, task: Task) -> None:
        task.holder = None
        self._touch(task)

    def _complete(self, task: Task, outcome: Outcome) -> None:
        self._finish(task, T.COMPLETED, passed=True)
        self._tell("task.completed", task)
        self._advance(task)

    def _stopped(self, task: Task, outcome: Outcome) -> None:
        """Stopped because somebody asked, or given back by a worker that is going away."""
        if task.wanted or self.run.state is R.STOPPING:
            self._finish(task, T.STOPPED, passed=False)
            self._tell("task.stopped", task)
            self._after_stop(task)
        else:
            self._tell("task.handed_back", task)
            self._again(task)

    def _after_stop(self, task: Task) -> None:
        if self.run.state is not R.STOPPING:
            self._wind_down(R.STOPPED, f"task {task.name} was stopped", None, {"task": task.name})
        self.derive()

    def _lost(self, task: Task, outcome: Outcome) -> None:
        task.lost += 1
        if self.run.state is R.STOPPING:
            self._finish(task, T.STOPPED, passed=False)
            self._tell("task.lost", task)
            self.derive()
        elif task.on_lost == "fail":
            self._give_up(task, outcome)
        elif task.lost > MOST_LOSSES:
            error = f"lost {task.lost} times, the last time: {outcome.error}"
            self._give_up(task, Outcome(ending=Ending.LOST, error=error, retryable=False))
        else:
            self._tell("task.lost", task, data={"error": outcome.error})
            self._again(task)

    def _failed(self, task: Task, outcome: Outcome) -> None:
        if self.run.state is R.STOPPING:
            self._finish(task, T.FAILED, passed=False)
            self._tell("task.failed", task, data={"error": outcome.error})
            self.derive()
            return
        verdict = retries.after_failure(
            self.definitions[task.name].retries,
            counted=task.counted,
            exit_code=outcome.exit_code,
            retryable=outcome.retryable,
            now=self.now,
            chance=self.chance,
        )
        if isinstance(verdict, retries.Retry):
            self._tell("task.retrying", task, data={"error": outcome.error, "at": str(verdict.at)})
            self._move(task, T.WAITING, Reason.BACKOFF, due_at=verdict.at)
        else:
            self._give_up(task, outcome)

    def _give_up(self, task: Task, outcome: Outcome) -> None:
        error = outcome.error or f"exit code {outcome.exit_code}"
        definition = self.definitions[task.name]
        action = definition.on_failure
        task.error = error
        self.run.failed += 1
        self._run_changed = True
        self._finish(task, T.FAILED, passed=action.kind == "continue")
        self._tell("task.failed", task, data={"error": error})
        if action.kind in ("continue", "handler"):
            self._advance(task)
            return
        self._bury(task, error)
        want = "stop" if action.kind == "stop_now" else None
        self._wind_down(R.FAILED, f"task {task.name} failed: {error}", want, {"task": task.name})

    def _bury(self, task: Task, error: str) -> None:
        self._changes.letters.append(
            DeadLetter(
                run_id=self.run.id,
                task_id=task.id,
                round=self.run.round,
                type=self.run.type,
                task=task.name,
                error=error,
                fingerprint=fingerprint(self.run.type, task.name, error),
            )
        )

    def _again(self, task: Task) -> None:
        """Back to the queue; a run that is winding down has no queue any more."""
        if self.run.state is R.STOPPING:
            self._finish(task, T.STOPPED, passed=False)
            self.derive()
        else:
            self._ready(task)

    def _advance(self, task: Task) -> None:
        """Tell those who wait for this task, and those who can no longer run because of it."""
        ended = [task]
        while ended:
            each = ended.pop()
            self.run.open -= 1
            self._run_changed = True
            for position in each.successors:
                ended += self._lower(self.tasks[position], success=bool(each.passed))
            if each.handler is not None:
                ended += self._lower(self.tasks[each.handler], success=calls_handler(each))

    def _lower(self, task: Task, *, success: bool) -> list[Task]:
        task.open -= 1
        task.needed = max(0, task.needed - success)
        self._touch(task)
        return self._consider(task)

    def _consider(self, task: Task) -> list[Task]:
        """Make a task ready, or skip it, if its predecessors now say so; the skipped come back."""
        if task.state is not T.PENDING:
            return []
        if task.needed == 0:
            self._ready(task)
        elif task.open == 0:
            self._finish(task, T.SKIPPED, passed=False)
            self._tell("task.skipped", task)
            return [task]
        return []

    def _ready(self, task: Task) -> None:
        if self.run.state in (R.HOLDING, R.HELD):
            self._move(task, T.WAITING, Reason.HOLD)
        elif task.settles and task.invocation is None:
            self._move(task, T.WAITING, Reason.SETTLE, due_at=self.now)
        elif task.limit_keys or task.queue in self.limited:
            self._move(task, T.WAITING, Reason.LIMIT)
        else:
            self._move(task, T.READY)
        if self.run.state is R.PENDING and task.state is T.READY:
            self._move_run(R.IN_PROGRESS, None)

    def _chosen(self, name: str | None, whole: bool) -> list[Task]:
        if whole:
            return list(self.tasks.values())
        again = [t for t in self.tasks.values() if t.state is T.STOPPED or is_unresolved(t)]
        if name is not None:
            named = [task for task in self.tasks.values() if task.name == name]
            if not named:
                raise Invalid(f"the run has no task named {name!r}", field="task")
            again += named
        positions = {task.position for task in again}
        positions |= self._after(positions)
        return [self.tasks[position] for position in sorted(positions)]

    def _after(self, positions: Iterable[int]) -> set[int]:
        found: set[int] = set()
        todo = list(positions)
        while todo:
            task = self.tasks[todo.pop()]
            following = [*task.successors, *([] if task.handler is None else [task.handler])]
            todo += [position for position in following if position not in found]
            found.update(following)
        return found

    def _reopen(self, task: Task) -> None:
        self._move(task, T.PENDING)
        task.passed = task.wanted = task.exit_code = task.error = None
        task.started_at = task.finished_at = None
        task.counted = task.lost = 0
        task.rank = rank(priority_of(task.rank), started=True)
        self._changes.outputs[task.id] = None
        if task.settles:
            task.invocation, task.limit_keys = None, []

    def _wind_down(
        self, ends_as: RunState, error: str, want: str | None, data: Mapping[str, Any]
    ) -> None:
        """Nothing more begins; what is in hand ends by itself or, if wanted, is stopped."""
        run = self.run
        if run.state is not R.STOPPING or (ends_as is R.STOPPED and run.ends_as is R.FAILED):
            run.ends_as, run.error = ends_as, error
        run.due_at = None
        self._move_run(R.STOPPING, "run.stopping", data)
        for task in self.tasks.values():
            if task.state is T.IN_PROGRESS:
                if want and task.wanted != "kill":
                    task.wanted = want
                    self._touch(task)
            elif not task.state.is_final:
                self._finish(task, T.STOPPED, passed=False)
        self.derive()
        self._settle_run()

    def _settle_run(self) -> None:
        """Move the run on if nothing keeps it where it is."""
        run = self.run
        if run.state.is_final:
            return
        in_hand = any(task.state is T.IN_PROGRESS for task in self.tasks.values())
        if run.state is R.STOPPING:
            if not in_hand and run.ends_as is not None:
                self._end(run.ends_as)
        elif run.open == 0:
            self._end(R.COMPLETED)
        elif run.state is R.HOLDING and not in_hand:
            self._move_run(R.HELD, "run.held")

    def _end(self, state: RunState) -> None:
        self.run.finished_at = self.now
        self.run.due_at = None
        data = {"round": self.run.round} | ({"error": self.run.error} if self.run.error else {})
        self._move_run(state, f"run.{state.lower()}", data)

    def _finish(self, task: Task, state: TaskState, *, passed: bool) -> None:
        self._move(task, state)
        task.passed = passed
        task.finished_at = self.now
        task.wanted = None

    def _move(
        self,
        task: Task,
        state: TaskState,
        reason: Reason | None = None,
        *,
        due_at: datetime | None = None,
    ) -> None:
        task.state, task.reason, task.due_at, task.blocked_on = state, reason, due_at, None
        self._touch(task)

    def _move_run(
        self, state: RunState, kind: str | None, data: Mapping[str, Any] | None = None
    ) -> None:
        self.run.state = state
        self._run_changed = True
        if kind:
            self._tell(kind, data=data)

    def _touch(self, task: Task) -> None:
        self._dirty[task.id] = task

    def _tell(
        self,
        kind: str,
        task: Task | None = None,
        *,
        attempt: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.run.events += 1
        self._run_changed = True
        self._changes.events.append(
            Event(
                run_id=self.run.id,
                seq=self.run.events,
                kind=kind,
                task_id=task.id if task else None,
                attempt=attempt or (task.attempt or None if task else None),
                data=data,
            )
        )


def calls_handler(task: Task) -> bool:
    """A task that failed for good, and whose failure goes to its handler."""
    return task.state is T.FAILED and not task.passed


def is_unresolved(task: Task) -> bool:
    return task.state is T.FAILED and not task.passed and task.handler is None


def priority_of(place: int) -> int:
    return 9 - place // 2


def definition_of(process_type: ProcessType, name: str) -> TaskDefinition:
    return next(task for task in process_type.tasks if task.name == name)


DIGITS = re.compile(r"0x[0-9a-f]+|\d+")


def fingerprint(process_type: str, task: str, error: str) -> str:
    """The same for failures that differ only in numbers, addresses and lengths of text."""
    gist = DIGITS.sub("#", error.lower())[:500]
    return hashlib.sha256(f"{process_type}\0{task}\0{gist}".encode()).hexdigest()[:16]
