"""Stretches of time that statistics are about, in parts that are looked at one by one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from scheduler.domain import ids


class Window(StrEnum):
    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


PARTS = {
    Window.HOUR: (60, timedelta(minutes=1)),
    Window.DAY: (96, timedelta(minutes=15)),
    Window.WEEK: (84, timedelta(hours=2)),
}


@dataclass(frozen=True, slots=True)
class Part:
    """The runs of a part are those between two ids, the second not among them."""

    start: datetime
    low: UUID
    high: UUID


def parts(window: Window, now: datetime) -> list[Part]:
    """From the oldest on. The last one takes in what clocks before the database's have made."""
    count, length = PARTS[window]
    starts = [now - length * back for back in range(count, 0, -1)]
    lows = [ids.first_of(start) for start in starts]
    highs = [*lows[1:], ids.not_after(now)]
    return [Part(*each) for each in zip(starts, lows, highs, strict=True)]
