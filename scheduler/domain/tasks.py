"""The rows that the task plane works on, as records."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from scheduler.domain.states import Reason, TaskState

Role = Literal["task", "item", "undo", "hook", "call"]

RANKS = 20  # ten priorities, each with started runs before new ones


def rank(priority: int, *, started: bool) -> int:
    """The place in the queue: 0 is claimed first."""
    return 2 * (9 - priority) + (0 if started else 1)


def priority_of(place: int) -> int:
    return 9 - place // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A task in hand: what its holder needs to carry it out and to record it."""

    id: int
    run_id: UUID
    name: str
    kind: str
    attempt: int
    on_lost: str
    invocation: Any
    queue: str
    rank: int
    ready_seq: int

    @property
    def key(self) -> str:
        """The attempt's name outside the database."""
        return f"{self.id}.{self.attempt}"


@dataclass(slots=True, kw_only=True)
class Task:
    """A task as its run's board holds it; what changes is written back.

    `of` is the position of the task that an item, an undo or a call belongs to. `iteration` counts
    the repetitions of a task; of a hook or an undo it is the round that it was last begun in.
    """

    id: int
    run_id: UUID
    position: int
    name: str
    kind: str
    state: TaskState
    reason: Reason | None
    blocked_on: str | None
    due_at: datetime | None
    queue: str
    rank: int
    required: int
    needed: int
    open: int
    passed: bool | None
    successors: list[int]
    handler: int | None
    settles: bool
    judged: bool
    on_lost: str
    limit_keys: list[str]
    attempt: int
    counted: int
    lost: int
    holder: int | None
    wanted: str | None
    invocation: Any
    exit_code: int | None
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None
    role: Role = "task"
    of: int | None = None
    item: dict[str, Any] | None = None  # its value, with its index or its key; a call's document
    iteration: int = 0
    share: str | None = None
    placement: dict[str, Any] | None = None  # where and how a workstation carries it out

    @property
    def is_ending(self) -> bool:
        """Somebody wants it to be over."""
        return self.wanted in ("stop", "kill")

    @property
    def is_frozen(self) -> bool:
        return self.wanted == "freeze"
