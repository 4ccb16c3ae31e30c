"""Which bytes somebody wants: by offset and limit, or by a Range header."""

import re
from dataclasses import dataclass

from scheduler.domain.errors import Invalid
from scheduler.services.outputs import Extent

FORMAT = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})")
ENDLESS = 2**62


class Unsatisfiable(Invalid):
    """There is nothing in this range."""


@dataclass(frozen=True, slots=True)
class Part:
    start: int
    end: int  # the first byte that is not wanted
    is_partial: bool = False


def chosen(
    header: str | None, offset: int, limit: int | None, extent: Extent, *, follow: bool
) -> Part:
    """A Range that is not understood is passed over, as HTTP wants it; so is one of an output
    with a gap, which could not be answered with as many bytes as it names."""
    is_whole = not follow and not extent.dropped
    bounds = FORMAT.fullmatch(header.strip()) if header and is_whole else None
    if bounds is None or bounds[1] == bounds[2] == "":
        end = ENDLESS if limit is None else offset + limit
        return Part(offset, end if follow else min(end, extent.size))
    start, end = limits(bounds[1], bounds[2], extent.size)
    if start >= extent.size or start >= end:
        raise Unsatisfiable(
            f"the output has {extent.size} bytes so far, none of them in {header!r}",
            field="Range",
            remedy=f"ask for less than bytes={extent.size}-",
        )
    return Part(start, min(end, extent.size), is_partial=True)


def limits(first: str, last: str, size: int) -> tuple[int, int]:
    if first == "":
        return max(0, size - int(last)), size if int(last) else 0
    return int(first), int(last) + 1 if last else size
