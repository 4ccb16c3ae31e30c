"""How times, sizes and states are said."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DASH = "—"


@dataclass(frozen=True, slots=True)
class Word:
    """How a state is shown everywhere: a word, a colour and a shape."""

    text: str
    tone: str
    shape: str


STATES = {
    "PENDING": Word("pending", "idle", "ring"),
    "WAITING": Word("waiting", "wait", "ring"),
    "READY": Word("ready", "wait", "dot"),
    "IN_PROGRESS": Word("running", "run", "play"),
    "STARTED": Word("running", "run", "play"),
    "HOLDING": Word("holding", "hold", "bars"),
    "HELD": Word("held", "hold", "bars"),
    "STOPPING": Word("stopping", "stop", "square"),
    "COMPENSATING": Word("undoing", "hold", "back"),
    "COMPLETED": Word("completed", "good", "tick"),
    "SUCCEEDED": Word("succeeded", "good", "tick"),
    "APPROVED": Word("approved", "good", "tick"),
    "REDRIVEN": Word("re-driven", "good", "back"),
    "FAILED": Word("failed", "bad", "cross"),
    "TIMED_OUT": Word("timed out", "bad", "cross"),
    "REJECTED": Word("rejected", "bad", "cross"),
    "LOST": Word("lost", "bad", "ring"),
    "STOPPED": Word("stopped", "stop", "square"),
    "SKIPPED": Word("skipped", "idle", "dash"),
    "DISCARDED": Word("discarded", "idle", "dash"),
    "CLOSED": Word("closed", "idle", "dash"),
    "BEGUN": Word("started", "run", "play"),
    "MISSED": Word("missed", "bad", "ring"),
    "MERGED": Word("merged", "idle", "dot"),
    "QUEUED": Word("waits for its turn", "wait", "ring"),
    "OVER": Word("over", "idle", "dash"),
    "DONE": Word("done", "good", "tick"),
    "CANCELLED": Word("ended early", "stop", "square"),
    "SCHEDULED": Word("put off", "idle", "ring"),
    "RUNNING": Word("running", "run", "play"),
    "RETRIED": Word("to be tried again", "late", "back"),
    "HANDED_BACK": Word("handed back", "hold", "back"),
    "DELETED": Word("deleted", "idle", "dash"),
    "DELIVERED": Word("delivered", "good", "tick"),
    "THROTTLED": Word("throttled", "late", "dash"),
    "DEDUPED": Word("known already", "idle", "dash"),
    "OPEN": Word("open", "wait", "ring"),
    "CHECK_OK": Word("fine", "good", "tick"),
    "CHECK_WARNING": Word("look at it", "late", "ring"),
    "CHECK_FAULT": Word("fault", "bad", "cross"),
    "ENABLED": Word("enabled", "good", "tick"),
    "DISABLED": Word("disabled", "stop", "square"),
    "NO_PASSWORD": Word("no password yet", "wait", "ring"),
    "VALID": Word("valid", "good", "tick"),
    "EXPIRED": Word("expired", "idle", "dash"),
    "REVOKED": Word("revoked", "stop", "square"),
    "ACTIVE": Word("active", "good", "play"),
    "DRAINING": Word("draining", "hold", "bars"),
    "SILENT": Word("silent", "late", "ring"),
    "GONE": Word("gone", "idle", "dash"),
    "ONLINE": Word("online", "good", "tick"),
    "LATE": Word("late", "late", "ring"),
    "ALONE": Word("working alone", "late", "ring"),
    "OFFLINE": Word("offline", "idle", "cross"),
    "UNREACHABLE": Word("out of reach", "late", "ring"),
    "ACCEPTED": Word("accepted", "good", "tick"),
    "APPLIED": Word("applied", "good", "tick"),
    "REFUSED": Word("refused", "bad", "cross"),
    "REQUESTED": Word("requested", "wait", "ring"),
    "OFFERED": Word("offered", "wait", "ring"),
    "PAUSED": Word("paused", "hold", "bars"),
    "UNSERVED": Word("nobody serves it", "bad", "cross"),
}


def state(name: str) -> Word:
    return STATES.get(name, Word(name.lower().replace("_", " "), "idle", "dot"))


def duration(length: timedelta | float | None) -> str:
    """Two units at most, the first that is not 0 and the next."""
    if length is None:
        return DASH
    seconds = max(0.0, length.total_seconds() if isinstance(length, timedelta) else float(length))
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    parts = [(whole // size % limit(size), name) for size, name in units]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {name}" for count, name in parts[first : first + 2] if count)


def limit(size: int) -> int:
    return {3_600: 24, 60: 60, 1: 60}.get(size, 1 << 40)


def between(start: datetime | None, end: datetime | None, now: datetime) -> str:
    return DASH if start is None else duration((end or now) - start)


def ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return DASH
    length = now - moment
    if abs(length) < timedelta(seconds=2):
        return "now"
    return f"{coarse(length)} ago" if length > timedelta() else f"in {coarse(-length)}"


def coarse(length: timedelta) -> str:
    return (
        duration(length).split(" s")[0] + " s" if length < timedelta(minutes=1) else first(length)
    )


def first(length: timedelta) -> str:
    return " ".join(duration(length).split(" ")[:2])


def clock(moment: datetime | None, zone: tzinfo = UTC, now: datetime | None = None) -> str:
    """The time of a day near by, the date too of any other; the zone always."""
    if moment is None:
        return DASH
    there = moment.astimezone(zone)
    today = now is not None and there.date() == now.astimezone(zone).date()
    return there.strftime("%H:%M:%S %Z" if today else "%d %b %Y %H:%M:%S %Z")


def zone_of(name: str) -> tzinfo:
    return (found_zone(name) if name != "UTC" else UTC) or UTC


def known_zone(name: str) -> bool:
    return found_zone(name) is not None


def found_zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def number(count: float) -> str:
    return f"{count:,.0f}".replace(",", "\u2009")


def percent(share: float | None) -> str:
    return DASH if share is None else f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def exit_code(code: int | None) -> str:
    """What an exit code of a command means, where there is something to say."""
    if code is None:
        return DASH
    meanings = {
        0: "success",
        126: "cannot be executed",
        127: "there is no such program",
        130: "interrupted",
        137: "killed, likely out of memory",
        139: "crashed",
        143: "asked to end",
    }
    meaning = meanings.get(code)
    return f"{code} ({meaning})" if meaning else str(code)


def short(id: Any) -> str:
    """The end of an id: the beginning is a time, which neighbours share."""
    return str(id)[-8:]
