"""What a decision asks the store to write."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from scheduler.domain.orders import Order
from scheduler.domain.runs import Run
from scheduler.domain.states import AttemptState
from scheduler.domain.tasks import Task


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
    finished_at: datetime | None = None  # if not just now


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
    new_tasks: list[Task] = field(default_factory=list)  # their ids are below 0 until written
    attempts: list[Attempt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    outputs: dict[int, str | None] = field(default_factory=dict)
    results: dict[UUID, str | None] = field(default_factory=dict)  # of runs, as JSON
    notes: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # metadata of tasks
    spent_limits: list[str] = field(default_factory=list)  # keys that nobody will ask for again
    redriven: list[UUID] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    hearing: list[int] = field(default_factory=list)  # holders of whose workflows calls are over

    def add(self, other: "Changes") -> None:
        for each in fields(self):
            mine, its = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, dict):
                mine.update(its)
            else:
                mine.extend(its)


DIGITS = re.compile(r"0x[0-9a-f]+|\d+")


def fingerprint(process_type: str, task: str, error: str) -> str:
    """The same for failures that differ only in numbers, addresses and lengths of text."""
    gist = DIGITS.sub("#", error.lower())[:500]
    return hashlib.sha256(f"{process_type}\0{task}\0{gist}".encode()).hexdigest()[:16]
