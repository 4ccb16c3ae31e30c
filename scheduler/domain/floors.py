"""Where the next claim may begin to look.

Below its floor every entry of a queue's index is known to be taken, so a snapshot that somebody
holds open, and that keeps the dead entries there, costs nothing. A transaction that drew its
number long ago and commits only now would lie below: floors keep a distance, sink back every
second to where they were ten seconds ago, and to nothing every minute.
"""

from collections import deque
from collections.abc import Iterable

from scheduler.domain.tasks import RANKS, Claimed

DISTANCE = 2000  # numbers drawn by transactions that may still commit
SINK_EVERY = 1.0
MEMORY = 10  # seconds
FORGET_EVERY = 60.0


class Floors:
    """Asked once for each claim of a queue; every second one look goes deeper."""

    def __init__(self, now: float) -> None:
        self._highest = [0] * RANKS
        self._past: deque[list[int]] = deque(maxlen=MEMORY)
        self._sunk = self._forgot = now

    def at(self, now: float) -> list[int]:
        if now - self._forgot >= FORGET_EVERY:
            self._forgot = now
            return [0] * RANKS
        if now - self._sunk >= SINK_EVERY:
            self._sunk = now
            self._past.append(list(self._highest))
            full = len(self._past) == MEMORY
            return below(self._past[0]) if full else [0] * RANKS
        return below(self._highest)

    def took(self, tasks: Iterable[Claimed]) -> None:
        for task in tasks:
            self._highest[task.rank] = max(self._highest[task.rank], task.ready_seq)


def below(numbers: Iterable[int]) -> list[int]:
    return [max(0, number - DISTANCE) for number in numbers]
