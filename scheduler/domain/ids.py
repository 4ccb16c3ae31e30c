"""Ids that rise with time, made where they are needed."""

import os
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

# How far the clocks of those who make ids may lie apart from the database's.
SLACK = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = 2**48 - 1


def new_id() -> UUID:
    """A UUID of version 7: 48 bits of milliseconds, then chance."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)


def first_of(moment: datetime) -> UUID:
    """No id that was made at this moment, or later, is less."""
    return at(milliseconds(moment - EPOCH))


def not_before(moment: datetime) -> UUID:
    """What the database says was made at this moment, or later, has no lesser id."""
    return at(milliseconds(moment - EPOCH - SLACK))


def not_after(moment: datetime) -> UUID:
    """What the database says was made before this moment has a lesser id."""
    return at(milliseconds(moment - EPOCH + SLACK))


def at(milliseconds: int) -> UUID:
    return UUID(int=min(max(milliseconds, 0), LAST) << 80)


def milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
