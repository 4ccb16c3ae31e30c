"""Zones and their clocks: which instant a wall clock means, and when an offset changes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from scheduler.domain.errors import Invalid
from scheduler.domain.names import nearest

SECOND = timedelta(seconds=1)
PROBE = timedelta(hours=12)  # no zone changes its offset twice within that
ELSEWHERE = frozenset({"localtime", "posixrules", "Factory"})  # differ from machine to machine


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    return frozenset(available_timezones()) - ELSEWHERE


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    if name not in zone_names():
        meant = nearest(name, zone_names())
        remedy = f"did you mean {meant!r}?" if meant else "take one such as Europe/Rome, or UTC"
        raise Invalid(f"there is no time zone {name[:64]!r}: {remedy}", field="zone")
    return ZoneInfo(name)


def wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """What a clock on the wall there shows."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def instant_of(clock: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the wall clock shows it; in a gap, the first one after it."""
    first = clock.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if wall(first, zone) == clock:
        return first
    before = clock.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return change_between(before, first, zone)


def change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant from which on the offset is that of `after`; it has changed once in between."""
    old = offset_at(before, zone)
    seconds = (after - before) // SECOND
    low, high = 0, seconds
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(before + middle * SECOND, zone) == old:
            low = middle
        else:
            high = middle
    return before + high * SECOND


@lru_cache(maxsize=8192)
def changes_of_year(name: str, year: int) -> tuple[datetime, ...]:
    """The instants of a year (of UTC) at which the offset of a zone changes."""
    zone = zone_of(name)
    found, at = [], datetime(year, 1, 1, tzinfo=UTC)
    end = datetime(year + 1, 1, 1, tzinfo=UTC)
    before = at - PROBE
    while before < end - PROBE:
        if offset_at(before, zone) != offset_at(at, zone):
            found.append(change_between(before, at, zone))
        before, at = at, at + PROBE
    return tuple(each for each in found if each.year == year)


def first_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The first change of the offset behind `after`, up to `until` with it."""
    return next((each for each in changes(zone, after, until) if after < each <= until), None)


def changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    for year in range(after.astimezone(UTC).year, until.astimezone(UTC).year + 1):
        yield from changes_of_year(zone.key, year)


def next_clock(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the wall clock must pass so that a clock of the first kind is behind `instant`.

    While the clocks show an hour for the second time, all that they show was there before.
    """
    local = instant.astimezone(zone)
    clock = local.replace(tzinfo=None, fold=0)
    if not local.fold:
        return clock
    low, high = 0, int(timedelta(days=1) / SECOND)
    base = clock.replace(microsecond=0)
    while high - low > 1:
        middle = (low + high) // 2
        if instant_of(base + middle * SECOND, zone) <= instant:
            low = middle
        else:
            high = middle
    return base + low * SECOND
