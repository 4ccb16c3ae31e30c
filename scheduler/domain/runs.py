"""A run: one carrying-out of a process type, with or without a record."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from scheduler.domain.states import RunState

Compensated = Literal["yes", "partly", "no"]

ON_ITS_WAY = (RunState.PENDING, RunState.IN_PROGRESS, RunState.HOLDING, RunState.HELD)


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
    group_key: str | None = None  # known once its type's `concurrency.key` has been worked out
    admitted: bool = True  # to its group
    labels: dict[str, str] = field(default_factory=dict)
    parent_run: UUID | None = None
    parent_task: int | None = None
    depth: int = 0
    undoes: bool = False  # a stop asked for what was done to be undone
    compensated: Compensated | None = None

    @property
    def is_failing(self) -> bool:
        """It will end as FAILED, and goes on only with what is there for that."""
        return self.ends_as is not None and self.state in ON_ITS_WAY
