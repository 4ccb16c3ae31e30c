"""What is asked of a run by somebody who has not locked it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    run_id: UUID
    task_id: int | None = None
    # child_ended, child_refused, event, mail, empty, inquired, answered; or hold, resume, stop,
    # kill
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    by: str = "engine"
