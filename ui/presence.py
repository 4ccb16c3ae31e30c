"""Who was let in a moment ago: open pages that ask again and again cost no statement each.

Somebody is remembered for a minute at most, and forgotten at once when a session ends, or a token
or a user may less: the database says so on the connection that the server listens on. While nothing
is heard there, nobody is remembered. Whoever opens a page or sends a form is looked up in any
case.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scheduler.api.live import Hub
from scheduler.domain.wakes import ANY
from scheduler.loops.pulse import Pulse
from ui.session import Person

KEPT = 60.0  # seconds
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Known:
    person: Person
    until: float


class Presence:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._known: dict[bytes, Known] = {}
        self._ears: set[Pulse] = set()
        self.forgotten = 0  # how often somebody was: what was read before that is not kept
        hub.of_people = self.forget

    def find(self, secret: str) -> Person | None:
        known = self._known.get(key(secret))
        if known is None or not self._hub.is_hearing or known.until < now():
            return None
        return known.person

    def keep(self, person: Person, *, asked_at: int) -> None:
        """`asked_at` is what `forgotten` was before the database was asked about them."""
        if asked_at != self.forgotten or not self._hub.is_hearing:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key(person.secret)] = Known(person, now() + min(KEPT, person.seconds_left))

    def forget(self, ids: Iterable[str]) -> None:
        """Those of these ids, and whoever listens for them looks again."""
        gone = frozenset(ids)
        self.forgotten += 1
        self._known = {
            digest: known
            for digest, known in self._known.items()
            if ANY not in gone and gone.isdisjoint(names(known.person))
        }
        for ear in self._ears:
            ear.poke()

    @contextmanager
    def listen(self, ear: Pulse) -> Iterator[None]:
        self._ears.add(ear)
        try:
            yield
        finally:
            self._ears.discard(ear)


def names(person: Person) -> frozenset[str]:
    caller = person.caller
    told = {"session": person.session, "token": caller.id, "user": caller.user}
    return frozenset(f"{kind}:{id}" for kind, id in told.items() if id is not None)


def key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def now() -> float:
    return asyncio.get_running_loop().time()
