"""How long the server waits for an attempt that is to be over.

It is told what the rows say and what time it is, so it is the same however a worker speaks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

PATIENCE = 2.0  # beats: until a worker has heard of it, and has said so


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants an attempt to be over: at once, or within a grace."""

    task: int
    attempt: int
    verb: str
    grace: float | None  # seconds; None: nobody said how long, and it is waited for

    @property
    def within(self) -> float | None:
        return 0.0 if self.verb == "kill" else self.grace


class Wishes:
    """Those that are known, each with when it was seen first."""

    def __init__(self, beat: float) -> None:
        self.slack = PATIENCE * beat
        self.since: dict[Wish, float] = {}

    def overdue(self, wishes: Iterable[Wish], now: float) -> set[Wish]:
        """Whose time is over. What is not wanted any more, or has ended, is forgotten."""
        self.since = {each: self.since.get(each, now) for each in wishes}
        return {
            each
            for each, since in self.since.items()
            if each.within is not None and now - since > each.within + self.slack
        }
