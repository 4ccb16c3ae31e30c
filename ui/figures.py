"""How processes have done lately, and what starts them next, as their screens say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain import schedule_words
from scheduler.domain.errors import Invalid
from scheduler.services.ticking import plan_of
from scheduler.store.rows import Row
from ui.drawing import charts
from ui.drawing.svg import Node

LATEST = 60  # runs that say how a process does
STRIP = 20
SLOWER, QUICKER = 1.25, 0.8  # of the older half of them


@dataclass(frozen=True, slots=True)
class Figures:
    strip: Node
    rate: float | None  # of the runs that have ended
    ended: int
    p50: float | None
    p95: float | None
    trend: str  # a word; empty where there is too little to say


@dataclass(frozen=True, slots=True)
class Next:
    """What starts a process by itself, in words; `at` where that is known."""

    text: str
    at: datetime | None = None
    schedule: int | None = None


NOBODY = Next("when somebody starts it")


def figures(row: Row | None) -> Figures:
    if row is None or not row["states"]:
        return Figures(charts.strip([], STRIP), None, 0, None, None, "")
    p50, p95 = row["seconds"] or (None, None)
    return Figures(
        strip=charts.strip(row["states"], STRIP),
        rate=row["good"] / row["ended"] if row["ended"] else None,
        ended=row["ended"],
        p50=p50,
        p95=p95,
        trend=trend(row["older"], row["newer"]),
    )


def all_figures(rows: Mapping[str, Row]) -> dict[str, Figures]:
    return {name: figures(row) for name, row in rows.items()}


def trend(older: float | None, newer: float | None) -> str:
    if not older or newer is None:
        return ""
    share = newer / older
    return "slower" if share >= SLOWER else "quicker" if share <= QUICKER else ""


def next_of(row: Row | None) -> Next:
    if row is None:
        return NOBODY
    if row["next_at"] is not None:
        return Next(words_of(row), row["next_at"], row["id"])
    if row["schedules"] and row["paused"] == row["schedules"]:
        return Next("its schedules are paused")
    if row["triggers"]:
        return Next("when an event comes")
    return Next("no schedule comes to a time any more") if row["schedules"] else NOBODY


def words_of(row: Row) -> str:
    """When a schedule is due, in words; one that cannot be read any more says so."""
    try:
        return schedule_words.in_words(plan_of(row))
    except Invalid as fault:
        return f"cannot be read: {fault}"


def all_next(rows: Mapping[str, Row]) -> dict[str, Next]:
    return {name: next_of(row) for name, row in rows.items()}
