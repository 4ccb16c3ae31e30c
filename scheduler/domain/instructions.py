"""What the author of a process wrote for whoever stands where a task is carried out."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain import templates
from scheduler.domain.errors import Invalid


def filled(text: str, given: Mapping[str, Any]) -> str:
    """With what the run was given; a text that needs more stays as it was written."""
    try:
        return templates.read(text).fill({"input": given})
    except Invalid:
        return text
