"""Cron expressions. croniter knows which wall clocks they name; what an instant is, we say.

Where the hour is fixed, a wall clock counts once: in a gap at the first instant after it, in an
overlap at the first of two. Where the hour is a wildcard (`*`, `*/n`, `H/n`, or all of them), each
real instant counts at which the wall clock shows what the expression names.
"""

import hashlib
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from scheduler.domain import calendars
from scheduler.domain.calendars import SECOND
from scheduler.domain.errors import Invalid

if TYPE_CHECKING:
    from croniter import croniter

LONGEST = 120
MOST_YEARS = 40  # the 29th of February on a given weekday comes every 28th or 40th year
RULE = (
    "write five fields (minute hour day month weekday), six with seconds in front, "
    "or one of @hourly, @daily, @weekly, @monthly, @yearly"
)
NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LETTERS = re.compile(r"[0-9a-z*,/?#()-]+")
RANDOM = re.compile(r"r(\(.*|/.*)?")
ONE_TO_ITSELF = re.compile(r"\b(\w+)-\1\b")
LAST_WEEKDAY = re.compile(rf"({'|'.join(DAYS)}|[0-7])l")
HASHED = re.compile(r"h(?:\((\d{1,2})-(\d{1,2})\))?(?:/(\d{1,2}))?")
SPANS = ((0, 59), (0, 59), (0, 23), (1, 28), (1, 12), (0, 6))  # every month has 28 days
MOST = (59, 59, 23, 31, 12, 6)
WILD_HOUR = re.compile(r"\*.*|h/\d+")


@dataclass(frozen=True, slots=True)
class Fields:
    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    has_seconds: bool

    def text(self, *, day: str | None = None, weekday: str | None = None) -> str:
        parts = [self.minute, self.hour, day or self.day, self.month, weekday or self.weekday]
        return " ".join([self.second, *parts] if self.has_seconds else parts)

    @property
    def is_either_day(self) -> bool:
        """Day and weekday are both given: one of them is enough, as in every cron."""
        return not any(each.startswith(("*", "?")) for each in (self.day, self.weekday))


def fields_of(text: str) -> Fields:
    """Its fields in one spelling; raises Invalid."""
    low = text.strip().lower()
    if len(low) > LONGEST:
        raise Invalid(f"a cron expression has at most {LONGEST} characters: {RULE}", field="cron")
    if low.startswith("@every"):
        raise Invalid(f"write 'every: {low[6:].strip() or '1h'}' instead of cron", field="cron")
    parts = [plainer(each) for each in NAMES.get(low, low).split()]
    if len(parts) not in (5, 6):
        raise Invalid(f"{text[:60]!r} is no cron expression: {RULE}", field="cron")
    for part in parts:
        if not LETTERS.fullmatch(part) or RANDOM.fullmatch(part):
            raise Invalid(f"{part[:60]!r} in {text[:60]!r} means nothing: {RULE}", field="cron")
    second, minute, hour, day, month, weekday = parts if len(parts) == 6 else ["0", *parts]
    return Fields(second, minute, hour, day, month, weekday, has_seconds=len(parts) == 6)


def plainer(field: str) -> str:
    """`5-5` is 5, which croniter takes for everything; `fril` and `5l` are its `l5`."""
    single = ONE_TO_ITSELF.sub(r"\1", field)
    return ",".join(
        f"l{day_number(found[1])}" if (found := LAST_WEEKDAY.fullmatch(each)) else each
        for each in single.split(",")
    )


def day_number(day: str) -> int:
    return DAYS.index(day) if day in DAYS else int(day) % 7


def spread(fields: Fields, key: str) -> Fields:
    """With a number for each `H`: the same for the same key, each field by a hash of its own."""
    return Fields(
        hashed(fields.second, 0, key),
        hashed(fields.minute, 1, key),
        hashed(fields.hour, 2, key),
        hashed(fields.day, 3, key),
        hashed(fields.month, 4, key),
        hashed(fields.weekday, 5, key),
        has_seconds=fields.has_seconds,
    )


def hashed(field: str, place: int, key: str) -> str:
    found = HASHED.fullmatch(field)
    if not found:
        return field
    low, high = (int(found[1]), int(found[2])) if found[1] else SPANS[place]
    step = int(found[3] or 0)
    if not SPANS[place][0] <= low <= high <= MOST[place] or found[3] == "0":
        raise Invalid(f"{field!r} is no stretch to spread over: {RULE}", field="cron")
    digest = hashlib.sha256(f"{place} {key}".encode()).digest()
    span = min(step, high - low + 1) if step else high - low + 1
    first = low + int.from_bytes(digest[:8], "big") % span
    return f"{first}-{high}/{step}" if step and first + step <= high else str(first)


class Cron:
    """An expression; `key` decides where its `H` lies."""

    def __init__(self, text: str, key: str) -> None:
        fields = fields_of(text)
        self.parts = [self._compile(each, text) for each in both_days(spread(fields, key))]
        hours = self.parts[0].expanded[1]
        self.is_wild = bool(WILD_HOUR.fullmatch(fields.hour)) or hours == ["*"] or len(hours) == 24

    @staticmethod
    def _compile(text: str, original: str) -> "croniter":
        # With the first expression; what it loads for Windows alone would load ctypes.
        modules: dict[str, Any] = sys.modules
        modules.setdefault("dateutil.tz.win", None)
        from croniter import croniter

        try:
            return croniter(
                text,
                day_or=False,
                second_at_beginning=True,
                max_years_between_matches=MOST_YEARS,
            )
        except (ValueError, TypeError, KeyError, IndexError) as fault:
            reason = str(fault).splitlines()[0][:120]
            raise Invalid(
                f"{original[:60]!r} is no cron expression ({reason}): {RULE}", field="cron"
            ) from None

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """The first tick behind `instant`."""
        return self._wild(instant, zone) if self.is_wild else self._fixed(instant, zone)

    def _fixed(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        clock = calendars.next_clock(instant, zone)
        while named := self._next(clock):
            found = calendars.instant_of(named, zone)
            if found > instant:
                return found
            clock = named
        return None

    def _wild(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        since, clock = instant, calendars.wall(instant, zone)
        while found := self._next(clock):
            tick = found.replace(tzinfo=UTC) - calendars.offset_at(since, zone)
            change = calendars.first_change(zone, since, tick)
            if change is None:
                return tick
            since, clock = change, calendars.wall(change, zone) - SECOND
        return None

    def _next(self, clock: datetime) -> datetime | None:
        """The first wall clock that is named, behind `clock`."""
        found = [each for part in self.parts if (each := next_of(part, clock))]
        return min(found, default=None)


def both_days(fields: Fields) -> list[str]:
    if fields.is_either_day:
        return [fields.text(weekday="*"), fields.text(day="*")]
    return [fields.text()]


def next_of(part: "croniter", clock: datetime) -> datetime | None:
    try:
        found: datetime = part.get_next(datetime, start_time=clock)
    except (OverflowError, ValueError):
        return None
    return found


@lru_cache(maxsize=4096)
def compiled(text: str, key: str) -> Cron:
    return Cron(text, key)
