"""A run: one carrying-out of a process type, with or without a record."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from scheduler.domain.states import RunState


@dataclass(slots=True, kw_only=True)
class Run:
    """A run as its board holds it; what changes is written back."""

    id: UUID
    type: str
    type_version: int
    record_id: str | None
    round: int
    state: RunState
    ends_as: RunState | None
    priority: int
    input: dict[str, Any]
    error: str | None
    total: int
    open: int
    failed: int
    events: int
    started_at: datetime | None
    finished_at: datetime | None
    timeout: timedelta | None
    due_at: datetime | None
