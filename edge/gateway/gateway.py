"""The gateway of one server: frames in, answers out, and the loops behind them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection, Error
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from edge import wire
from edge.gateway import dispatch, frames, offers, stocking
from edge.gateway.dispatch import Claims, Dispatcher, queues_of, unheard
from edge.gateway.frames import Heard, Place
from edge.gateway.streams import Stream, Streams
from edge.messages import Bye, Frame, FromServer, Have, Lease, Welcome
from edge.rates import Rates
from edge.window import Window
from scheduler.domain.wakes import ANY, Wake
from scheduler.loops.announcer import Announcer
from scheduler.loops.pulse import Pulse
from scheduler.services.catalog import Catalog
from scheduler.services.keyring import Keys
from scheduler.settings import WorkstationSettings
from scheduler.steady import keep_going
from scheduler.store import connections, workstations
from scheduler.store.rows import Row

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]
Pool = AsyncConnectionPool[Conn]
Loop = Callable[[], Coroutine[Any, Any, None]]

MARK = "workstation:"
FLUSH_EVERY = 5.0  # seconds
COMING_BACK = 7.0  # a second, of all together: then hardly ever more than 20 in one of them
POOL = 4
LEAVE_WITHIN = 2.0
SPARE = 4 << 10  # bytes of a frame around its messages
PATIENCE = 15.0  # when all come at once; meanwhile nothing more is read of them


@dataclass(frozen=True, slots=True)
class Left:
    """A stream that has ended, until that is written down."""

    stream: Stream
    why: str


@dataclass
class Gateway:
    url: str
    settings: WorkstationSettings = field(default_factory=WorkstationSettings)
    hub: Callable[[Wake], None] = lambda wake: None  # whoever follows runs here
    keys: Keys = field(default_factory=Keys)
    name: str = field(default_factory=lambda: f"server {uuid4().hex[:12]}")
    catalog: Catalog = field(default_factory=Catalog)

    def __post_init__(self) -> None:
        self.streams = Streams()
        self.pool: Pool | None = None
        self.rates = Rates()
        self.known = 0  # workstations that may come
        self._announcer = Announcer()
        self._claims = Claims(self.catalog, lambda: self.keys)
        self._dispatcher = Dispatcher(self._claims, self.streams, self.say)
        self._left: list[Left] = []
        self._doubtful: set[str] = set()
        self._flushing = Pulse()

    def loops(self) -> Mapping[str, Loop]:
        return {
            "workstations": self._steadily("workstations", self._dispatcher.work, engine=True),
            "workstations heard": self._steadily("workstations heard", self._flush),
            "workstations news": self._steadily("workstations news", self._announcer.work),
        }

    def _steadily(self, name: str, work: Callable[[Conn], Any], *, engine: bool = False) -> Loop:
        def connect() -> Any:
            return connections.connect(self.url, name=f"server {name}", engine=engine)

        return partial(keep_going, connect, work, name=name)

    # What is heard from elsewhere.

    def heard(self, wake: Wake) -> None:
        self._dispatcher.heard(wake)
        if not wake.people:
            return
        is_any = ANY in wake.people
        doubtful = [each for each in self.streams if is_any or f"{MARK}{each.id}" in wake.people]
        if doubtful:
            self._doubtful |= {each.name for each in doubtful}
            self._flushing.poke()

    def say(self, wake: Wake) -> None:
        """Our own news: we need not wait to hear them."""
        if wake:
            self.heard(wake)
            self.hub(wake)
            self._announcer.say(wake)

    # Frames.

    def place(self, carrier: str, opened: float | None) -> Place:
        beat, poll = self.settings.beat.total_seconds(), self.settings.poll.total_seconds()
        window = Window(self.settings.oldest_agent, self.settings.newest_agent)
        return Place(self.name, carrier, beat, poll, opened, window)

    async def take(self, row: Row, frame: Frame, carrier: str) -> Heard:
        """In a transaction of its own, on a connection that waits for nobody."""
        assert self.pool is not None, "the gateway is not open"
        place = self.place(carrier, row.get("asked_at"))
        async with self.pool.connection() as conn:
            heard = await frames.hear(conn, self.catalog, row["id"], frame, place, time.time())
        self.say(heard.wake)
        heard.answers = self.spread_out(heard.answers)
        return heard

    def spread_out(self, answers: Sequence[FromServer]) -> list[FromServer]:
        """All who are cut off together come back over so many seconds: said with each answer, since
        who came first would else come back as if nobody had come since."""
        spread = max(1.0, max(self.known, len(self.streams)) / COMING_BACK)
        return [
            replace(each, spread=spread) if isinstance(each, Welcome | Have) else each
            for each in answers
        ]

    # A stream.

    async def receive(self, stream: Stream, row: Row, frame: Frame) -> None:
        stream.heard()
        answers = stream.quick(frame, time.time())
        if answers is not None:
            stream.say(stream.session, self.spread_out(answers))
            return
        heard = await self.take(row, frame, "stream")
        stream.took(heard)  # first, so that a new hello over the same stream fences nobody
        if heard.greeted is not None:
            self.streams.fence(row["name"], heard.session)
        stream.lease(frame.messages, time.time())
        if heard.greeted is not None:
            self.streams.begin(stream)
        stream.say(heard.session, heard.answers)
        self.end_if_told(stream, heard.answers)
        if stream.session and (heard.greeted or heard.closed):
            self._dispatcher.has_room(stream)

    def end_if_told(self, stream: Stream, answers: Sequence[FromServer]) -> None:
        for each in answers:
            if isinstance(each, Bye):
                stream.close(4409 if each.fenced else 4406, each.why)

    def left(self, stream: Stream, why: str) -> None:
        """Written down with all others that left; a newer one has its own say."""
        if self.streams.end(stream):
            self._left.append(Left(stream, why))
            self._flushing.poke()

    # A poll: all that waits is said at once, and all that waits is answered.

    async def sync(self, row: Row, frame: Frame) -> Frame:
        heard = await self.take(row, frame, "poll")
        if heard.greeted is not None:
            self.streams.fence(row["name"], heard.session)
        if not heard.session or any(isinstance(each, Bye) for each in heard.answers):
            return Frame(heard.session, tuple(heard.answers))
        free = [each.free for each in frame.messages if isinstance(each, Lease)]
        room = free[-1] if free else heard.slots
        if heard.greeted is not None:
            room = frames.free_at(heard.greeted)
        more = await self.what_waits(row, heard, room)
        return Frame(heard.session, (*heard.answers, *more))

    async def what_waits(self, row: Row, heard: Heard, room: int) -> list[FromServer]:
        assert self.pool is not None
        labels = {**row["told_labels"], **row["labels"]}
        wake, found = Wake(), list[FromServer]()
        async with self.pool.connection() as conn:
            await workstations.ask_wanted(conn, [row["id"]])
            fresh, _ = await unheard(conn, row["id"])
            found += [each for each in fresh if each not in heard.answers]
            queues = await queues_of(conn, row["name"], labels) if room > 0 else []
            size = size_of([*heard.answers, *found])
            for _ in range(min(room, dispatch.MOST_AT_ONCE)):
                if size + offers.LARGEST > wire.LARGEST - SPARE:
                    break  # at its next poll
                claimed = await self._claims.claim(
                    conn, row["id"], heard.session, queues, limit=1, wake=wake
                )
                if not claimed:
                    break
                found += claimed
                size += size_of(claimed)
        self.say(wake)
        return found

    # What is kept in mind is written down for all at once.

    async def _flush(self, conn: Conn) -> None:
        end = 0.0
        while True:
            if self._left or self._doubtful:
                await self._leave(conn)
                await self._look(conn, self._named())
            if time.monotonic() >= end:
                await self._keep(conn)
                await self._look(conn, list(self.streams))
                self.known = await workstations.count(conn)
                end = time.monotonic() + FLUSH_EVERY
            await self._flushing.wait(max(0.0, end - time.monotonic()))

    def _named(self) -> list[Stream]:
        names, self._doubtful = self._doubtful, set()
        return [each for name in names if (each := self.streams.get(name))]

    async def _leave(self, conn: Conn) -> None:
        while self._left:
            left = self._left[0]
            async with conn.transaction():
                if await workstations.leave(
                    conn, left.stream.id, session=left.stream.session, server=self.name
                ):
                    await workstations.unsee(conn, left.stream.id, why=left.why)
            del self._left[0]

    async def _keep(self, conn: Conn) -> None:
        """Of those that were heard lately. One that is being spoken with says so itself."""
        now, fresh = time.monotonic(), [each for each in self.streams if each.is_fresh]
        heard = [
            (each.id, timedelta(seconds=now - each.heard_at), each.room, each.skew)
            for each in fresh
        ]
        if heard:
            await workstations.keep_heard(conn, heard)
        for each in fresh:
            each.is_fresh = False

    async def _look(self, conn: Conn, streams: Sequence[Stream]) -> None:
        """Whether they may still be here, and what people say of them now."""
        if not streams:
            return
        rows = {row["id"]: row for row in await workstations.facts(conn, [s.id for s in streams])}
        for stream in streams:
            row = rows.get(stream.id)
            self._compare(stream, row)
            if row is not None and row["lacks"] not in (None, stream.stocked):
                await self._stock(conn, stream)

    async def _stock(self, conn: Conn, stream: Stream) -> None:
        """Once: until it has said that it has it, each greeting and each frame repeats it."""
        stock = await stocking.due(conn, stream.id)
        if stock is not None:
            stream.stocked = stock.revision
            stream.say(stream.session, [stock])

    def _compare(self, stream: Stream, row: Row | None) -> None:
        silence = frames.SILENCE * self.settings.beat.total_seconds()
        if row is None or row["state"] != "ACCEPTED":
            stream.close(4401, "this workstation is not accepted any more")
        elif stream.public_key != row["public_key"]:
            stream.close(4408, "its key has changed")
        elif stream.session < row["session"]:
            stream.close(4409, "a newer session has begun")
        elif time.monotonic() - stream.heard_at > silence:
            stream.close(4408, f"nothing was heard for {silence:.0f} s")
        else:
            was = stream.draining, stream.labels
            stream.given, stream.draining = row["labels"], row["draining"]
            if was != (stream.draining, stream.labels) and not stream.draining:
                self._dispatcher.has_room(stream)


@asynccontextmanager
async def opened(gateway: Gateway) -> AsyncIterator[Gateway]:
    """With its connections; whoever opens it runs its loops."""
    async with connections.open_pool(
        gateway.url,
        name="gateway",
        size=POOL,
        options=connections.ENGINE_OPTIONS,
        patience=PATIENCE,
    ) as pool:
        gateway.pool = pool
        with suppress(Error, PoolTimeout, TimeoutError):
            async with pool.connection() as conn:  # who comes first is told of all who come
                gateway.known = await workstations.count(conn)
        try:
            yield gateway
        finally:
            gateway.pool = None
            await leave(pool, gateway.name)


async def leave(pool: Pool, name: str) -> None:
    """If the database is away as well, it is seen later that nobody is here."""
    with suppress(Error, PoolTimeout, TimeoutError):
        async with asyncio.timeout(LEAVE_WITHIN), pool.connection(LEAVE_WITHIN) as conn:
            await workstations.leave_all(conn, name)


def size_of(messages: Sequence[FromServer]) -> int:
    return len(wire.encode(Frame(0, tuple(messages))).encode())
