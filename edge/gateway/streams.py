"""Who is connected to this server, and what is known of them without asking the database."""

import time
from collections.abc import Iterator, Mapping, Sequence

from edge.agent import packing
from edge.gateway.frames import Heard
from edge.lines import Line
from edge.messages import Frame, FromServer, Have, Lease, Message, Stock
from scheduler.domain import places
from scheduler.store.rows import Row


class Stream(Line):
    """One connection of one workstation."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.id: int = row["id"]
        self.name: str = row["name"]
        self.given: Mapping[str, str] = row["labels"]  # by people
        self.told: Mapping[str, str] = row["told_labels"]
        self.public_key: str = row["public_key"]
        self.slots = 0
        self.draining: bool = row["draining"]
        self.session = 0
        self.room = 0  # slots that are free, as far as both ends know
        self.have: Sequence[int] = ()
        self.safe: Sequence[int] = ()
        self.commands = 0  # asked for, and not yet answered
        self.stocked: str | None = None  # as of which revision it was told what to have
        self.skew: float | None = None
        self.heard_at = time.monotonic()
        self.is_fresh = False  # heard since that was written down
        self.began_at = self.heard_at

    # Speaking.

    def say(self, session: int, messages: Sequence[FromServer]) -> None:
        if messages:
            self.send(packing.texts(session, messages))

    # Hearing.

    def heard(self) -> None:
        self.heard_at, self.is_fresh = time.monotonic(), True

    def quick(self, frame: Frame, clock: float) -> list[FromServer] | None:
        """The answer to what changes nothing; None if the rows have to be asked."""
        if not self.session or frame.session != self.session or self.commands:
            return None
        if not frame.messages or not all(isinstance(each, Lease) for each in frame.messages):
            return None
        self.lease(frame.messages, clock)
        return [Have(tuple(self.have), tuple(self.safe), {}, clock)]

    def lease(self, messages: Sequence[Message], clock: float) -> None:
        for each in messages:
            if isinstance(each, Lease):
                self.room, self.skew = min(each.free, self.slots), each.clock - clock

    def took(self, heard: Heard) -> None:
        """What a frame came to, once it is committed."""
        self.have, self.safe, self.commands = heard.have, heard.safe, heard.commands
        for each in heard.answers:
            if isinstance(each, Stock):
                self.stocked = each.revision
        if heard.greeted is not None:
            self.session = heard.session
            self.slots = heard.greeted.slots
            self.told = heard.greeted.labels
            taken = sum(each.phase != "ended" for each in heard.greeted.known)
            self.room = max(0, self.slots - taken)
        elif heard.refused:
            self.room = 0  # until it says otherwise
        else:
            self.room = min(self.slots, self.room + heard.closed)

    @property
    def labels(self) -> dict[str, str]:
        return places.labels_of(self.given, self.told)

    @property
    def load(self) -> float:
        return 1 - self.room / max(1, self.slots)


class Streams:
    """Those of this server: of each workstation the newest, once it has said hello."""

    def __init__(self) -> None:
        self._open: dict[str, Stream] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._open.values()))

    def get(self, name: str) -> Stream | None:
        return self._open.get(name)

    def begin(self, stream: Stream) -> None:
        """Its session has begun; an older stream of the same workstation counts no more."""
        older = self._open.get(stream.name)
        if older is not None and older is not stream:
            older.close(4409, "a newer session has begun")
        self._open[stream.name] = stream

    def end(self, stream: Stream) -> bool:
        """Whether it was the newest."""
        if self._open.get(stream.name) is not stream:
            return False
        del self._open[stream.name]
        return True

    def fence(self, name: str, session: int) -> None:
        """Another session has begun elsewhere, or by poll."""
        stream = self._open.get(name)
        if stream is not None and stream.session < session:
            stream.close(4409, "a newer session has begun")
