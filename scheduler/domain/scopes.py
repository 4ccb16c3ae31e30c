"""What expressions of a run may speak of, whoever works them out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

Scope = dict[str, Any]


def of_run(
    *,
    id: UUID,
    type: str,
    record: str | None,
    round: int,
    labels: Mapping[str, str],
    started_at: datetime | None,
) -> Scope:
    return {
        "id": str(id),
        "type": type,
        "record": record,
        "round": round,
        "labels": labels,
        "started_at": started_at.isoformat() if started_at else None,
    }


def variables(
    system: Mapping[str, Any], of_type: Mapping[str, Any], record: Mapping[str, Any]
) -> Scope:
    """The nearer a value, the sooner it is taken."""
    return {**system, **of_type, **record}
