"""What happened elsewhere: known once for each source and id."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scheduler.domain.errors import Invalid
from scheduler.domain.values import refuse_unstorable

LONGEST_NAME = 200
LONGEST_ID = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    source: str
    id: str
    type: str
    key: str = ""  # correlation: what it is about
    data: Any = None
    occurred_at: datetime | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)  # what else came with it


def check(event: NewEvent) -> NewEvent:
    for name, value, most in (
        ("source", event.source, LONGEST_ID),
        ("id", event.id, LONGEST_ID),
        ("type", event.type, LONGEST_NAME),
    ):
        if not 1 <= len(value) <= most:
            raise Invalid(f"{name} has {len(value)} characters: 1 to {most} are taken", field=name)
    if len(event.key) > LONGEST_ID:
        raise Invalid(f"key has {len(event.key)} characters: at most {LONGEST_ID}", field="key")
    refuse_unstorable(
        {
            "data": event.data,
            "key": event.key,
            "type": event.type,
            "source": event.source,
            "id": event.id,
            "attributes": event.attributes,
        },
        "event",
    )
    return event
