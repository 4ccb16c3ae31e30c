"""What a workstation tells of itself, read with care: it is a program on another's machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scheduler.store.rows import Row
from ui import words

HOT = 80.0  # degrees
FULL = 0.9  # of a disk
OFF = 5.0  # seconds that two clocks may differ without anybody's caring
STUCK = timedelta(minutes=15)  # that something may wait to be sent
LONGEST = 200  # characters of what it says of itself
SITE = "site"  # the label by which a fleet is divided


@dataclass(frozen=True, slots=True)
class Machine:
    """The newest figures; None for what it does not tell."""

    temperature: float | None
    disk_used: float | None  # share of the whole
    disk_free: float | None  # bytes
    memory_used: float | None
    cpu: float | None  # share of all cores
    load: float | None
    outbox: int | None  # items
    outbox_bytes: float | None
    oldest: timedelta | None
    power: str | None

    @property
    def is_hot(self) -> bool:
        return self.temperature is not None and self.temperature >= HOT

    @property
    def is_full(self) -> bool:
        return self.disk_used is not None and self.disk_used >= FULL

    @property
    def is_stuck(self) -> bool:
        return bool(self.outbox) and self.oldest is not None and self.oldest >= STUCK


def machine_of(metrics: Any) -> Machine:
    told = metrics if isinstance(metrics, Mapping) else {}
    items = number(told, "outbox_items")
    oldest = number(told, "outbox_oldest_seconds") if items else None
    return Machine(
        temperature=number(told, "temperature"),
        disk_used=used(told, "disk"),
        disk_free=number(told, "disk_free"),
        memory_used=used(told, "memory"),
        cpu=number(told, "cpu"),
        load=number(told, "load"),
        outbox=None if items is None else round(items),
        outbox_bytes=number(told, "outbox_bytes"),
        oldest=None if oldest is None else timedelta(seconds=min(oldest, 1e9)),
        power=text(told, "power"),
    )


def number(told: Mapping[str, Any], name: str) -> float | None:
    """A finite number, and nothing that only looks like one."""
    found = told.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < 1e18 else None


def text(told: Mapping[str, Any], name: str) -> str | None:
    found = told.get(name)
    return found[:LONGEST] if isinstance(found, str) and found else None


def used(told: Mapping[str, Any], what: str) -> float | None:
    """The share of it that is taken."""
    free, whole = number(told, f"{what}_free"), number(told, f"{what}_total")
    if free is None or whole is None or whole <= 0:
        return None
    return min(1.0, max(0.0, 1 - free / whole))


# Facts and rules that agents of ours tell, in words; whatever else there is keeps its own name.
NAMES = {
    "hostname": "Host",
    "system": "System",
    "kernel": "Kernel",
    "architecture": "Architecture",
    "python": "Python",
    "processors": "Processors",
    "memory": "Memory",
    "model": "Model",
    "machine_id": "Machine id",
    "boot": "Boot id",
    "programs": "May be run",
    "shells": "Of these, shells",
    "roots": "In the folders",
    "users": "As the users",
    "has_hours": "At certain hours alone",
    "max_runtime": "For at most",
    "fault": "Not understood",
}
APART = frozenset({"doctor", "digest"})


def facts_of(facts: Any) -> list[tuple[str, str]]:
    """As lines, whatever is in them; first what we have words for."""
    told = facts if isinstance(facts, Mapping) else {}
    order = [
        *(name for name in NAMES if name in told),
        *(each for each in told if each not in NAMES),
    ]
    shown = [name for name in order if name not in APART and told[name] not in ("", [], {}, None)]
    return [(NAMES.get(name, str(name)[:60]), worded(name, told[name])) for name in shown[:40]]


def worded(name: str, value: Any) -> str:
    if name == "memory" and isinstance(value, int) and not isinstance(value, bool):
        return words.size(value)
    if name == "max_runtime" and isinstance(value, int | float):
        return words.duration(value)
    return short(value)


def short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {short(each)}" for name, each in list(value.items())[:20])
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(short(each) for each in value[:20])
    return str(value)[:LONGEST]


def is_off(row: Row) -> bool:
    """Its clock and ours tell different times."""
    return row["skew"] is not None and abs(row["skew"]) >= OFF
