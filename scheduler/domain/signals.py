"""Whether an event is what a task waits for, and what it is to the task."""

import json
from collections.abc import Mapping
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain import templates
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


def met(call: Mapping[str, Any], event: Mapping[str, Any], input: Any) -> Outcome | None:
    """None if the task goes on waiting."""
    value = as_value(event)
    try:
        if not wanted(call.get("when"), {"event": value, "input": input}):
            return None
    except Invalid as fault:
        error = f"wait_for.when: {fault}"
        return Outcome(ending=Ending.FAILED, error=error, retryable=False)
    return Outcome(ending=Ending.SUCCEEDED, output=json.dumps(value))


def wanted(when: str | None, scope: Mapping[str, Any]) -> bool:
    if when is None:
        return True
    value = templates.read(when).value(scope)
    if not isinstance(value, bool):
        raise Invalid(f"{when} is neither true nor false")
    return value
