"""What an agent looks at from time to time: the room on its disk, and how its machine is."""

from collections.abc import Mapping
from hashlib import sha256

from edge.agent import machine
from edge.agent.home import Home
from edge.agent.reserve import Reserve
from edge.agent.store import DiskBook
from edge.messages import Lane, Metrics

LOOK_EVERY = 10.0  # seconds
KEEP_METRICS = 24 * 3600.0
MOST_KEPT = 256 << 20  # bytes of the outbox; then measures and progress are given up first


class Upkeep:
    def __init__(self, home: Home, name: str, book: DiskBook) -> None:
        self.name, self.book = name, book
        self.reserve = Reserve(home.reserve)
        self.meter = machine.Meter(home.path)
        self.full = ""  # why no new work is taken
        self.look_at = 0.0
        self.metrics_at = 0.0

    def look(self, now: float, clock: float) -> None:
        if self.full or now >= self.look_at:
            self.look_at = now + LOOK_EVERY
            self.look_at_room()
        if clock >= self.metrics_at:
            self.measure(clock)

    def look_at_room(self) -> str:
        """Why no new work is taken, as of this moment."""
        if self.reserve.has_room():
            self.full = ""
        elif not self.full:
            self.full = "there is hardly any room on its disk"
        return self.full

    def is_out_of_room(self) -> bool:
        """Whether there is some now that was kept for this."""
        self.full = "there is no room on its disk"
        return self.reserve.give_up()

    def measure(self, clock: float) -> None:
        """Each workstation at its own moment of the minute."""
        first, self.metrics_at = not self.metrics_at, next_minute(self.name, clock)
        if not first:
            self.book.add(Lane.METRICS, Metrics(clock, {**self.meter.look(), **self.kept(clock)}))
        self.book.give_up(Lane.METRICS, before=clock - KEEP_METRICS)
        if self.book.size() > MOST_KEPT:
            self.book.give_up(Lane.METRICS, before=clock)
            self.book.give_up(Lane.OUTPUTS, before=clock)

    def kept(self, clock: float) -> Mapping[str, float]:
        """How much there is to be sent, and for how long that has waited."""
        items, size, oldest = self.book.waiting()
        age = {} if oldest is None else {"outbox_oldest_seconds": round(max(0.0, clock - oldest))}
        return {"outbox_items": items, "outbox_bytes": size, **age}


def next_minute(name: str, clock: float) -> float:
    offset = int.from_bytes(sha256(name.encode()).digest()[:4]) % 60
    return (clock - offset) // 60 * 60 + 60 + offset
