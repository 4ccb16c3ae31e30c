"""Whether an event is what a task waits for, and what it is to the task."""

import json
from collections.abc import Mapping
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain import rendering
from scheduler.domain.errors import Invalid

OF_AN_EVENT = ("id", "source", "type", "key", "data", "time")


def as_value(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as expressions and outputs see it."""
    return {
        "id": event["event_id"],
        "source": event["source"],
        "type": event["type"],
        "key": event["key"],
        "data": event["data"],
        "time": event["occurred_at"].isoformat(),
    }


def met(
    call: Mapping[str, Any], event: Mapping[str, Any], scope: Mapping[str, Any]
) -> Outcome | None:
    """None if the task goes on waiting. The scope is that of its run, as it now is."""
    value = as_value(event)
    try:
        if not rendering.is_awaited(call.get("when"), {**scope, "event": value}):
            return None
    except Invalid as fault:
        error = f"wait_for.when: {fault}"
        return Outcome(ending=Ending.FAILED, error=error, retryable=False)
    return Outcome(ending=Ending.SUCCEEDED, output=json.dumps(value))
