"""What a list of runs can be asked."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import durations
from scheduler.domain.errors import Invalid
from scheduler.domain.states import RunState
from scheduler.services import run_lists
from scheduler.store.rows import Row
from scheduler.store.runs import Filter
from ui import lists
from ui.lists import Asked, Column, Field, Listing

EXPORTED = 500  # runs that one look of an export takes
STATES = tuple(state.value for state in RunState)

LIST = Listing(
    fields=(
        Field("type", "Type", "choice"),
        Field("record", "Record"),
        Field("error", "Error has"),
        Field("label", "Label", hint="name:value"),
        Field("triggered_by", "Started by", hint="schedule, a name"),
        Field("longer_than", "Took at least", hint="seconds, or 10m"),
        Field("shorter_than", "Took less than", hint="seconds, or 2h"),
        Field("created_from", "Since", "moment"),
        Field("created_to", "Before", "moment"),
        Field("status", "State", "states", STATES),
    ),
    columns=(
        Column("state", "State"),
        Column("process", "Process"),
        Column("run", "Run"),
        Column("tasks", "Tasks"),
        Column("began", "Began"),
        Column("ended", "Ended", is_usual=False),
        Column("took", "Took", is_num=True),
        Column("by", "By"),
        Column("version", "Version", is_num=True, is_usual=False),
        Column("priority", "Priority", is_num=True, is_usual=False),
        Column("labels", "Labels", is_usual=False),
    ),
)
CELLS: lists.Cells[Row] = {
    "id": lambda run: run["id"],
    "type": lambda run: run["type"],
    "version": lambda run: run["type_version"],
    "record": lambda run: run["record_id"],
    "state": lambda run: run["state"],
    "round": lambda run: run["round"],
    "tasks": lambda run: run["total"],
    "open": lambda run: run["open"],
    "created_at": lambda run: run["created_at"],
    "started_at": lambda run: run["started_at"],
    "finished_at": lambda run: run["finished_at"],
    "by": lambda run: run["triggered_by"],
    "labels": lambda run: run["labels"],
    "error": lambda run: run["error"],
}


def filter_of(asked: Asked) -> Filter:
    return Filter(
        type=asked.text("type"),
        record=asked.text("record"),
        states=[RunState(each) for each in asked.among("status")],
        labels=asked.label(),
        error=asked.text("error"),
        by=asked.text("triggered_by"),
        longer=length(asked, "longer_than"),
        shorter=length(asked, "shorter_than"),
        created_from=asked.moment("created_from"),
        created_to=asked.moment("created_to"),
    )


def length(asked: Asked, name: str) -> timedelta | None:
    text = asked.text(name)
    if text is None:
        return None
    try:
        return durations.parse_duration(text)
    except Invalid as error:
        raise Invalid(str(error), field=name) from None


def in_seconds(asked: Asked) -> dict[str, str]:
    """Lengths that were written in words, as the address has them."""
    found = {name: length(asked, name) for name in ("longer_than", "shorter_than")}
    told = {name: f"{each.total_seconds():g}" for name, each in found.items() if each is not None}
    return {name: text for name, text in told.items() if text != asked.text(name)}


def reading(filter: Filter) -> lists.Read[Row]:
    async def read(conn: AsyncConnection[Any], after: UUID | None) -> tuple[list[Row], UUID | None]:
        found = await run_lists.page(conn, filter, limit=EXPORTED, after=after)
        return found.rows, found.next

    return read
