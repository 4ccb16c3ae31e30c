"""Triggers from documents and back, with every fault named and placed."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from scheduler.domain import templates
from scheduler.domain.documents import UnreadableDocument, node_of
from scheduler.domain.durations import format_duration
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.expressions import faults
from scheduler.domain.fields import Field, as_data
from scheduler.domain.names import TASK_NAME
from scheduler.domain.readers import data_map, duration, expression, priority, template_or_empty
from scheduler.domain.sections import (
    Cursor,
    Faults,
    Section,
    kind_of,
    matching,
    one_of,
    short_text,
    text,
    whole,
)
from scheduler.domain.triggers import (
    MOST_GATHERED,
    NAME,
    Batch,
    Concurrency,
    Debounce,
    Dedup,
    Throttle,
    TriggerSpec,
)

KEYS = (
    "name",
    "description",
    "event",
    "when",
    "input",
    "priority",
    "dedup",
    "debounce",
    "batch",
    "throttle",
    "concurrency",
)
APART = ("debounce", "batch", "throttle", "concurrency")
SOURCE = "trigger"
MOST_PATTERNS = 20
LONGEST = timedelta(days=31)
MOST_TIMES = 1_000  # of a throttle: as many moments are kept for each key
MOST_QUEUED = 100_000
EVENT = frozenset({"event"})

PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,199}")
PATTERN_RULE = (
    "an event's type, in which * stands for anything without a dot and ** for anything: order.*"
)
trigger_name = matching(
    TASK_NAME, "a trigger's name is 1 to 63 of a-z, 0-9, '-' and '_', a letter or digit first"
)


def read_trigger(document: Mapping[str, Any]) -> TriggerSpec:
    """The trigger of a document of plain values; raises InvalidDefinition with all faults."""
    found = Faults(SOURCE)
    try:
        spec = trigger_at(Cursor(node_of(dict(document)), "", found))
    except UnreadableDocument as fault:
        raise InvalidDefinition([f"{SOURCE}: {fault}"]) from None
    if found.found:
        raise InvalidDefinition(found.lines())
    return spec


def trigger_at(cursor: Cursor) -> TriggerSpec:
    section = Section(cursor, KEYS)
    spec = TriggerSpec(
        name=section.take("name", trigger_name, NAME),
        description=section.take("description", short_text, ""),
        events=section.need("event", patterns, ()),
        when=section.take("when", speaking_of(EVENT, expression), None),
        priority=section.take("priority", priority, None),
        dedup=section.take("dedup", dedup, None),
        debounce=section.take("debounce", debounce, None),
        batch=section.take("batch", batch, None),
        throttle=section.take("throttle", throttle, None),
        concurrency=section.take("concurrency", concurrency, None),
        input=section.take("input", speaking_of(gathered(section), data_map), None),
    )
    if len(several := [key for key in APART if key in section]) > 1:
        cursor.fail(f"{several[0]!r} and {several[1]!r} exclude each other: choose one")
    return spec


def gathered(section: Section) -> frozenset[str]:
    """What the input may speak of: a run that gathers has several events."""
    rule = section.entries.get("debounce")
    is_gathered = (
        rule is not None
        and isinstance(rule.value, dict)
        and "input" in rule.value
        and rule.value["input"].node.value == "gathered"
    )
    return EVENT | {"events"} if is_gathered or "batch" in section else EVENT


def patterns(cursor: Cursor) -> tuple[str, ...]:
    if isinstance(cursor.value, str):
        return (pattern(cursor),)
    cursors = cursor.items()
    if not 1 <= len(cursors) <= MOST_PATTERNS:
        raise Invalid(f"1 to {MOST_PATTERNS} types of events are expected")
    return tuple(pattern(each) for each in cursors)


def pattern(cursor: Cursor) -> str:
    if not PATTERN.fullmatch(text(cursor)):
        raise Invalid(f"{kind_of(cursor.node)} names no events: {PATTERN_RULE}")
    return text(cursor)


def speaking_of(scopes: frozenset[str], reader: Callable[[Cursor], Any]) -> Callable[[Cursor], Any]:
    """Its expressions may speak of these and of nothing else."""

    def careful(cursor: Cursor) -> Any:
        before = len(cursor.faults.found)
        value = reader(cursor)
        if len(cursor.faults.found) == before:
            for placed in expressions(value):
                for fault in faults(placed.expression, scopes):
                    cursor.fail(str(fault))
        return value

    return careful


def expressions(value: Any) -> Iterator[templates.Placed]:
    for _, placed in Field((), value, as_data).placed():
        yield placed


key = speaking_of(EVENT, template_or_empty)


def length(cursor: Cursor) -> timedelta:
    found = duration(cursor)
    if found > LONGEST:
        raise Invalid(f"at most {format_duration(LONGEST)}")
    return found


def dedup(cursor: Cursor) -> Dedup:
    section = Section(cursor, ("key", "window"))
    return Dedup(
        key=section.need("key", key, ""), window=section.need("window", length, timedelta(1))
    )


def debounce(cursor: Cursor) -> Debounce:
    section = Section(cursor, ("key", "quiet", "max_wait", "input"))
    found = Debounce(
        key=section.take("key", key, ""),
        quiet=section.need("quiet", length, timedelta(1)),
        max_wait=section.take("max_wait", length, None),
        input=section.take("input", one_of("last", "gathered"), "last"),
    )
    if found.max_wait is not None and "quiet" in section and found.max_wait < found.quiet:
        cursor.fail("'max_wait' is shorter than 'quiet'")
    return found


def batch(cursor: Cursor) -> Batch:
    section = Section(cursor, ("key", "max", "wait"))
    return Batch(
        key=section.take("key", key, ""),
        max=section.need("max", whole(1, MOST_GATHERED), 1),
        wait=section.need("wait", length, timedelta(1)),
    )


def throttle(cursor: Cursor) -> Throttle:
    section = Section(cursor, ("key", "max", "per", "rest", "most"))
    return Throttle(
        key=section.take("key", key, ""),
        max=section.need("max", whole(1, MOST_TIMES), 1),
        per=section.need("per", length, timedelta(1)),
        rest=section.take("rest", one_of("drop", "queue"), "drop"),
        most=section.take("most", whole(1, MOST_QUEUED), 10_000),
    )


def concurrency(cursor: Cursor) -> Concurrency:
    section = Section(cursor, ("key", "max", "rest", "most"))
    return Concurrency(
        key=section.take("key", key, ""),
        max=section.take("max", whole(1, 100), 1),
        rest=section.take("rest", one_of("drop", "queue"), "queue"),
        most=section.take("most", whole(1, MOST_QUEUED), 10_000),
    )


def write_trigger(spec: TriggerSpec) -> dict[str, Any]:
    """The one document of this content: what is left out has its default."""
    events: Any = spec.events[0] if len(spec.events) == 1 else list(spec.events)
    document: dict[str, Any] = {"event": events}
    if spec.name != NAME:
        document["name"] = spec.name
    for name in ("description", "when", "input", "priority"):
        if (value := getattr(spec, name)) not in (None, ""):
            document[name] = value
    for name in ("dedup", *APART):
        if (rule := getattr(spec, name)) is not None:
            document[name] = written(rule)
    return document


def written(rule: Any) -> dict[str, Any]:
    given = {name: getattr(rule, name) for name in rule.__slots__}
    return {
        name: format_duration(value) if isinstance(value, timedelta) else value
        for name, value in given.items()
        if value not in (None, "") or (name == "key" and isinstance(rule, Dedup))
    }
