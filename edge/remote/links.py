"""Who is connected here, and what is known of them without asking the database."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import UUID, uuid4

from psycopg import Error

from edge import packing
from edge.lines import Line
from edge.reading import MOST
from edge.remote import wire
from edge.remote.desk import Desk, Hand
from edge.remote.messages import FromServer

REST = 1.0  # seconds that one which gave something back gets nothing
NOBODY = "00000000-0000-0000-0000-000000000000"  # the session of who has not said which it is


class Link(Line):
    """One connection of one worker. By poll, it lasts for one question and its answer."""

    def __init__(
        self, token: int, beat: float, *, is_stream: bool = True, brings: bool = False
    ) -> None:
        super().__init__()
        self.token, self.is_stream = token, is_stream
        self.brings = brings  # code of its own, for others to carry out
        self.connection: UUID = uuid4()
        self.session = NOBODY
        self.holder = 0  # until it has said hello
        self.name = ""
        self.slots = 0
        self.queues: Sequence[str] = ()
        self.desk = Desk(beat)
        self.draining = False
        self.heard_at = time.monotonic()
        self.is_fresh = False  # heard since that was written down
        self.rests_until = 0.0
        self.owes = False  # the rest of histories, when it has taken what waits
        self.taken: Callable[[Link], None] = lambda link: None  # who is told of that

    async def next(self) -> str | None:
        text = await super().next()
        if self.owes and not self.is_behind:
            self.taken(self)
        return text

    def say(self, messages: Iterable[FromServer]) -> None:
        texts = [wire.said(each) for each in messages]
        if texts:
            self.send(packing.frames(texts, partial(wire.framed, self.session)))

    def heard(self) -> None:
        self.heard_at, self.is_fresh = time.monotonic(), True

    def rest(self) -> None:
        self.rests_until = time.monotonic() + REST

    @property
    def rests_for(self) -> float:
        """Seconds; 0 for one that does not rest."""
        return max(0.0, self.rests_until - time.monotonic())

    @property
    def room(self) -> int:
        """How many offers it may have now."""
        if self.draining or self.why or self.is_behind or self.rests_for:
            return 0
        free = self.slots - self.desk.taken
        return max(0, min(free, MOST - len(self.desk.hands)))  # it may have to name all of them

    @property
    def load(self) -> float:
        return self.desk.taken / max(1, self.slots)

    def offered(self, hands: Iterable[Hand]) -> None:
        for each in hands:
            self.desk.offered(each)


@contextmanager
def kept_in_step(link: Link) -> Iterator[None]:
    """If it cannot be written down what was said, everything is said anew."""
    try:
        yield
    except Error:
        link.close(1013, "the database does not answer")
        raise


class Links:
    """Those of this server: of each session the newest, once it has said hello."""

    def __init__(self) -> None:
        self._open: dict[int, Link] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._open.values()))

    def get(self, holder: int) -> Link | None:
        return self._open.get(holder)

    def begin(self, link: Link) -> None:
        """An older connection of the same session counts no more."""
        if self._open.get(link.holder) is not link:
            self.fence(link.holder)
        self._open[link.holder] = link

    def fence(self, holder: int) -> None:
        if (older := self._open.get(holder)) is not None:
            older.close(4409, "the session goes on over another connection")

    def end(self, link: Link) -> None:
        if self._open.get(link.holder) is link:
            del self._open[link.holder]

    @property
    def queues(self) -> set[str]:
        return {queue for link in self._open.values() for queue in link.queues}
