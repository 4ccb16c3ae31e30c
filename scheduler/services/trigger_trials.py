"""What a trigger would make of an event that was: nothing is started, and nothing is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import process_types as definitions
from scheduler.domain import triggers as rules
from scheduler.domain.errors import Refusal
from scheduler.domain.signals import as_value
from scheduler.domain.triggers import TriggerSpec
from scheduler.services import definitions as published
from scheduler.services import events, records
from scheduler.services.catalog import Catalog
from scheduler.store.schedules import Target

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """As far as it came: what does not match is not asked whether it is wanted."""

    event: int
    type: str
    matches: bool
    wants: bool = False
    input: Mapping[str, Any] | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None  # why no run could be started for it


async def try_out(
    conn: Conn, catalog: Catalog, target: Target, spec: TriggerSpec, event: int
) -> Trial:
    row = await events.get(conn, event)
    if not spec.matches(row["type"]):
        return Trial(event, row["type"], matches=False)
    value = as_value(row)
    input: dict[str, Any] | None = None
    try:
        if not rules.wants(spec, value):
            return Trial(event, row["type"], matches=True)
        input, keys = rules.input_of(spec, [value]), rules.keys_of(spec, value)
        await check(conn, catalog, target, input)
    except Refusal as fault:
        return Trial(
            event, row["type"], matches=True, wants=input is not None, input=input, fault=str(fault)
        )
    return Trial(event, row["type"], matches=True, wants=True, input=input, keys=keys)


async def check(conn: Conn, catalog: Catalog, target: Target, input: Mapping[str, Any]) -> None:
    """The input must be right for the newest version of the type."""
    type, given = target.type, dict(input)
    if target.record is not None:
        record = await records.get(conn, target.record)
        type, given = record["type"], {**record["input"], **given}
    found = await published.get(conn, type or "")
    definition = await catalog.get(conn, found["name"], found["version"])
    definitions.check_input(definition, given)
