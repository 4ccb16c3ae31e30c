"""Counts that end somewhere: nobody reads the difference between many and very many."""

from dataclasses import dataclass

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Count:
    number: int
    is_capped: bool

    @classmethod
    def of(cls, found: int) -> "Count":
        """Of a count that went on to one more than `MOST`."""
        return cls(min(found, MOST), found > MOST)
