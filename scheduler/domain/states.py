"""The states of runs, tasks and attempts, and every arrow between them.

One table feeds the guards in SQL, the buttons of the dashboard, the chart in docs/states.md and
a test of all pairs.
"""

from collections.abc import Mapping
from enum import StrEnum


class RunState(StrEnum):
    PENDING = "PENDING"  # until its first task becomes READY
    IN_PROGRESS = "IN_PROGRESS"
    HOLDING = "HOLDING"  # tasks in hand go on to their end
    HELD = "HELD"
    STOPPING = "STOPPING"  # winding down, to what `runs.ends_as` says
    COMPENSATING = "COMPENSATING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        return self in FINAL_RUNS


class TaskState(StrEnum):
    PENDING = "PENDING"  # predecessors not done
    WAITING = "WAITING"  # with a reason, always
    READY = "READY"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        return self in FINAL_TASKS


class AttemptState(StrEnum):
    STARTED = "STARTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    LOST = "LOST"


class Reason(StrEnum):
    """Why a task is WAITING."""

    SETTLE = "settle"  # its expressions and limit keys are being worked out
    BACKOFF = "backoff"
    TIMER = "timer"
    LIMIT = "limit"
    HOLD = "hold"
    SIGNAL = "signal"
    APPROVAL = "approval"
    CHILD = "child"
    ITEMS = "items"
    CALLS = "calls"  # a workflow has nothing to do until one of its calls is over
    AWAY = "away"


R, T = RunState, TaskState

FINAL_RUNS = frozenset({R.COMPLETED, R.FAILED, R.STOPPED})
LIVING_RUNS = frozenset(RunState) - FINAL_RUNS
FINAL_TASKS = frozenset({T.COMPLETED, T.FAILED, T.SKIPPED, T.STOPPED})

# Out of FAILED and STOPPED lead a new round (retry, reset, re-drive), and undoing what was done.
RUN_ARROWS: Mapping[RunState, frozenset[RunState]] = {
    R.PENDING: frozenset({R.IN_PROGRESS, R.HELD, R.STOPPING, R.COMPLETED, R.FAILED, R.STOPPED}),
    R.IN_PROGRESS: frozenset(
        {R.HOLDING, R.HELD, R.STOPPING, R.COMPENSATING, R.COMPLETED, R.FAILED, R.STOPPED}
    ),
    R.HOLDING: frozenset(
        {R.HELD, R.IN_PROGRESS, R.STOPPING, R.COMPENSATING, R.COMPLETED, R.FAILED, R.STOPPED}
    ),
    R.HELD: frozenset({R.IN_PROGRESS, R.STOPPING, R.COMPENSATING, R.FAILED, R.STOPPED}),
    R.STOPPING: frozenset({R.COMPENSATING, R.FAILED, R.STOPPED}),
    R.COMPENSATING: frozenset({R.STOPPING, R.FAILED, R.STOPPED}),
    R.COMPLETED: frozenset(),
    R.FAILED: frozenset({R.IN_PROGRESS, R.COMPENSATING}),
    R.STOPPED: frozenset({R.IN_PROGRESS, R.COMPENSATING}),
}

TASK_ARROWS: Mapping[TaskState, frozenset[TaskState]] = {
    T.PENDING: frozenset({T.READY, T.WAITING, T.SKIPPED, T.STOPPED, T.FAILED, T.COMPLETED}),
    T.WAITING: frozenset(
        {T.READY, T.WAITING, T.PENDING, T.SKIPPED, T.STOPPED, T.FAILED, T.COMPLETED}
    ),
    T.READY: frozenset({T.IN_PROGRESS, T.WAITING, T.STOPPED, T.SKIPPED, T.COMPLETED, T.FAILED}),
    T.IN_PROGRESS: frozenset({T.COMPLETED, T.FAILED, T.STOPPED, T.READY, T.WAITING}),
    T.COMPLETED: frozenset({T.PENDING}),
    T.FAILED: frozenset({T.PENDING}),
    T.SKIPPED: frozenset({T.PENDING}),
    T.STOPPED: frozenset({T.PENDING}),
}


def sources(target: RunState) -> list[RunState]:
    """The states that a run may be leaving when it arrives at `target`."""
    return [state for state, targets in RUN_ARROWS.items() if target in targets]
