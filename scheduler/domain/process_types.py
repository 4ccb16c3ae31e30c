"""Process types: definitions of what a run does. Read from texts, stored as documents."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from scheduler.domain.definitions import (
    Limit,
    OnFailure,
    ProcessType,
    ResourceLimits,
    TaskDefinition,
)
from scheduler.domain.inputs import check_against
from scheduler.domain.type_reading import read_document, read_text
from scheduler.domain.type_writing import write_type

__all__ = [
    "Limit",
    "OnFailure",
    "ProcessType",
    "ResourceLimits",
    "TaskDefinition",
    "check_input",
    "digest",
    "from_document",
    "parse",
    "to_document",
]


def parse(text: str, *, source: str = "<text>") -> list[ProcessType]:
    """Every process type of the text; raises InvalidDefinition with all faults found."""
    return read_text(text, source)


def from_document(document: Mapping[str, Any]) -> ProcessType:
    """The type of a stored document; what `parse` refuses is refused here too. Only schemas, which
    were looked at when they were published, are not looked at again."""
    return read_document(document)


def to_document(process_type: ProcessType) -> dict[str, Any]:
    """The one JSON document of this content: defaults left out, durations in one spelling."""
    return write_type(process_type)


def digest(process_type: ProcessType) -> str:
    canonical = json.dumps(
        to_document(process_type), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def check_input(process_type: ProcessType, value: Any) -> dict[str, Any]:
    """The input with defaults filled in; raises Invalid naming path, value and rule."""
    return check_against(process_type.input_schema, value)
