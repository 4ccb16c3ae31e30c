"""What the desk decides, in the database and on the wire: the workers of one server."""

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from edge.rates import Rates
from edge.reading import BadFrame
from edge.remote import desk, wire, words
from edge.remote.desk import Change, Desk, Hand, HandedBack, Over
from edge.remote.dispatch import Claims, Dispatcher, queues_of
from edge.remote.flows import Flows
from edge.remote.links import Link, Links
from edge.remote.messages import Bye, Have, Hello, Welcome
from edge.remote.news import News
from edge.remote.recording import Closing, Recorder, Word
from executor.base import Outcome
from scheduler.domain.errors import TooMany, Unavailable
from scheduler.domain.wakes import ANY, Wake
from scheduler.loops.announcer import Announcer
from scheduler.loops.pulse import Pulse
from scheduler.services.catalog import Catalog
from scheduler.settings import RemoteSettings
from scheduler.steady import keep_going
from scheduler.store import connections, output, remote
from scheduler.store.remote import Claimed, Session
from scheduler.store.rows import Row

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]
Pool = AsyncConnectionPool[Conn]
Loop = Callable[[], Coroutine[Any, Any, None]]

POOL = 4
PATIENCE = 15.0
SILENCE = 3.0  # beats, after which nobody is there any more
OVER, BEYOND, AGAIN = 4409, 4406, 1013
AWAITED = "it was silent for longer than its lease: it is to say hello again"
HELLOS = 50.0  # a second, of all workers with one token; four times as many at once
OTHER = re.compile(r"[^A-Za-z0-9._:@-]")  # than what stands in an address as it is


class Fenced(Exception):
    """The session is over: what it had in hand may be somebody else's."""

    why = "the session is over: nothing was heard of it for longer than its lease"


@dataclass
class Office:
    url: str
    settings: RemoteSettings = field(default_factory=RemoteSettings)
    hub: Callable[[Wake], None] = lambda wake: None  # whoever follows runs here
    catalog: Catalog = field(default_factory=Catalog)

    def __post_init__(self) -> None:
        self.links = Links()
        self.pool: Pool | None = None
        self.rates = Rates()
        self.beat = self.settings.beat.total_seconds()
        self.workflows = Flows(self.catalog)
        self.news = News(self.links, self.workflows)
        self.claims = Claims(self.workflows.offered, self.workflows.cut)
        self.recorder = Recorder(self.catalog, self.say, self.workflows)
        self.dispatcher = Dispatcher(self.claims, self.links, self.say, self.refuse)
        self._announcer = Announcer()
        self._keeping = Pulse()
        self._looked_at = 0.0

    def loops(self) -> Mapping[str, Loop]:
        return {
            "workers": self._steadily("workers", self.dispatcher.work, engine=True),
            "workers record": self._steadily("workers record", self.recorder.work, engine=True),
            "workers workflows": self._steadily("workers workflows", self.news.work, engine=True),
            "workers heard": self._steadily("workers heard", self._keep),
            "workers news": self._steadily("workers news", self._announcer.work),
        }

    def _steadily(self, name: str, work: Callable[[Conn], Any], *, engine: bool = False) -> Loop:
        def connect() -> Any:
            return connections.connect(self.url, name=f"server {name}", engine=engine)

        return partial(keep_going, connect, work, name=name)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        if self.pool is None:
            raise Unavailable("the server is starting or stopping")
        async with self.pool.connection() as conn:
            yield conn

    # What is heard from elsewhere.

    def heard(self, wake: Wake) -> None:
        self.dispatcher.heard(wake)
        self.news.heard(wake)
        tokens = {f"token:{each.token}" for each in self.links}
        if wake.wanted or ANY in wake.people or wake.people & tokens:
            self._looked_at = 0.0
            self._keeping.poke()

    def say(self, wake: Wake) -> None:
        """Our own news: we need not wait to hear them."""
        if wake:
            self.heard(wake)
            self.hub(wake)
            self._announcer.say(wake)

    # A stream.

    async def receive(self, link: Link, text: str) -> None:
        frame = wire.decode(text)
        messages = frame.messages
        if link.holder and frame.session != link.session:
            raise BadFrame("session: it is not the one that said hello here")
        if messages and isinstance(messages[0], Hello):
            if not await self.greet(link, frame.session, messages[0], "stream"):
                return
            link.taken = self.news.came
            self.links.begin(link)
            self.dispatcher.has_room(link, is_new=True)
            self.news.came(link)
            messages = messages[1:]
        elif not link.holder:
            raise BadFrame("messages[0]: a stream begins with hello")
        link.heard()
        heard = link.desk.hear(messages, time.monotonic())
        link.say(heard.answers)
        self.write(link, heard.changes, len(text))
        if any(isinstance(each, Over) for each in heard.changes):
            self.dispatcher.has_room(link)  # while what is over is committed
        await self.recorder.has_room()

    def write(self, link: Link, changes: Sequence[Change], size: int = 0) -> None:
        if changes:
            self.rest(link, changes)
            if word := words.word_of(link, changes, partial(self.written, link)):
                self.recorder.submit(replace(word, size=size))

    def rest(self, link: Link, changes: Iterable[Change]) -> None:
        """Who gives things back gets no more of them at once."""
        for change in changes:
            if isinstance(change, HandedBack) or (
                isinstance(change, Over) and not desk.was_asked_for(change)
            ):
                link.rest()
            elif isinstance(change, (desk.Draining, desk.Gone)):
                link.draining = True

    def written(self, link: Link, word: Word) -> None:
        """It is committed, so it may be said: over the connection that speaks for it by now."""
        if link.is_stream:
            link = self.links.get(word.holder) or link
        over = [words.name_of(each.key) for each in word.closings]
        for attempt in (*over, *word.given_up):
            link.desk.closed(attempt)
        link.say(word.answers)
        if ended := [words.name_of(c.key) for c in word.closings if c.outcome is not None]:
            link.say([Have(tuple(part)) for part in parts(ended, 1_000)])
        if word.leaves:
            link.say([Bye("the session is over, as you said", fenced=False)])
            link.close(1000, "the session is over")
        self.dispatcher.has_room(link)

    def left(self, link: Link, why: str) -> None:
        self.links.end(link)

    # Its beginning.

    async def greet(self, link: Link, session: str, hello: Hello, carrier: str) -> bool:
        """Whether it may go on."""
        link.session = session
        if not self.rates.is_kept(f"hello {link.token}", HELLOS):
            raise TooMany("too many workers come with this token at once", seconds=1)
        if bye := desk.stranger(hello):
            link.say([bye])
            link.close(BEYOND, bye.why)
            return False
        try:
            async with self.connection() as conn:
                await self.open(conn, link, hello, carrier)
        except Fenced as fenced:
            link.say([Bye(fenced.why, fenced=True)])
            link.close(OVER, fenced.why)
            return False
        return True

    async def open(self, conn: Conn, link: Link, hello: Hello, carrier: str) -> None:
        link.queues = queues_of(
            hello.actions, [str(p.definition.get("name")) for p in hello.workflows]
        )
        link.name, link.slots = hello.name, hello.slots
        said = self.session_of(link, hello, carrier)
        if hello.workflows:
            by = f"worker {hello.name}"
            await self.workflows.publish(conn, hello.workflows, by=by, brings=link.brings)
        async with conn.transaction():
            link.holder = await self.holder(conn, link, said)
            if hello.workflows:
                await self.workflows.greeted(conn, link.holder, hello.workflows)
        hands = await hands_of(conn, link.holder)
        link.desk = Desk(self.beat, hands)
        back, forget = link.desk.greet(hello)
        link.say([self.welcome(forget)])
        if word := words.word_of(link, back, partial(self.written, link)):
            self.recorder.submit(word)

    def session_of(self, link: Link, hello: Hello, carrier: str) -> Session:
        return Session(
            session=link.session,
            token=link.token,
            host=hello.host or "",
            pid=hello.pid or 0,
            version=hello.sdk[:200],
            sdk=hello.sdk,
            queues=link.queues,
            slots=hello.slots,
            carrier=carrier,
            connection=link.connection,
        )

    async def holder(self, conn: Conn, link: Link, said: Session) -> int:
        """The one that the session is. Two may be called the same; then the later gets a mark."""
        lease = self.settings.lease
        if await remote.lock(conn, link.session):
            row = await remote.find(conn, link.session)
            assert row is not None
            if row["token"] != link.token:
                raise Fenced
            if row["state"] == "GONE":
                await self.revive(conn, link, row, said)
            if not await remote.greet(conn, row["holder"], said, lease):
                raise Fenced
            link.draining = row["state"] == "DRAINING"
            holder: int = row["holder"]
            return holder
        for each in names_of(link):
            found = await remote.register(conn, each, said, lease)
            if found is not None:
                log.info("remote worker ready", extra={"holder": found, "holder_name": each})
                return found
        raise Unavailable("the name of this worker is taken: it is to try again")

    async def revive(self, conn: Conn, link: Link, row: Row, said: Session) -> None:
        """It was silent for too long, and has something that is waited for: it goes on with that,
        and is told to forget what became somebody else's."""
        for each in names_of(link) if row["awaited"] else ():
            if await remote.revive(conn, row["holder"], each, said, self.settings.lease):
                log.info("remote worker back", extra={"holder": row["holder"], "holder_name": each})
                return
        raise Fenced

    def welcome(self, forget: Iterable[str]) -> Welcome:
        return Welcome(
            protocol=1,
            beat=self.beat,
            lease=self.settings.lease.total_seconds(),
            clock=time.time(),
            poll=self.settings.poll.total_seconds(),
            server=version("procession"),
            forget=tuple(forget),
        )

    # What cannot be offered.

    def refuse(self, link: Link, task: Claimed, outcome: Outcome) -> None:
        closing = Closing(task.run_id, (task.id, task.attempt), link.holder, outcome)
        link.desk.closed(task.key)
        self.recorder.submit(Word(link.holder, link.name, lambda word: None, [closing]))

    # What is kept in mind is written down for all at once.

    async def _keep(self, conn: Conn) -> None:
        pause = min(2.0, self.beat / 2)
        while True:
            is_time = time.monotonic() - self._looked_at >= self.beat
            await self._renew(conn, [each for each in self.links if is_time or each.is_fresh])
            if is_time:
                await self._look(conn)
            await self._keeping.wait(pause)

    async def _renew(self, conn: Conn, fresh: Sequence[Link]) -> None:
        now = time.monotonic()
        for link in self.links:
            if now - link.heard_at > SILENCE * self.beat:
                link.close(4408, f"nothing was heard for {SILENCE * self.beat:.0f} s")
        if not fresh:
            return
        for each in fresh:
            each.is_fresh = False
        heard = [
            (each.holder, each.connection, timedelta(seconds=now - each.heard_at)) for each in fresh
        ]
        states = await remote.renew(conn, heard, self.settings.lease)
        for link in fresh:
            if (state := states.get(link.holder)) is None:
                await self._part(conn, link)
            else:
                self._may_drain(link, is_active=state == "ACTIVE")

    def _may_drain(self, link: Link, *, is_active: bool) -> None:
        was, link.draining = link.draining, not is_active
        if was and is_active:
            self.dispatcher.has_room(link, is_new=True)

    async def _part(self, conn: Conn, link: Link) -> None:
        """Another connection speaks for it, or it was declared gone."""
        row = await remote.find(conn, link.session)
        if row is None or (row["state"] == "GONE" and not row["awaited"]):
            link.say([Bye(Fenced.why, fenced=True)])
            link.close(OVER, Fenced.why)
        elif row["state"] == "GONE":
            link.close(AGAIN, AWAITED)
        else:
            link.close(OVER, "the session goes on over another connection")

    async def _look(self, conn: Conn) -> None:
        """What the rows say of all hands, and who may be here no more."""
        self._looked_at = looked_at = time.monotonic()
        links = list(self.links)
        if not links:
            return
        unwelcome = await remote.of_tokens(conn, {each.token for each in links})
        for link in links:
            if link.token in unwelcome:
                link.close(4401, "the token is not good any more")
        rows: dict[int, list[Hand]] = {each.holder: [] for each in links}
        for row in await remote.hands(conn, rows):
            rows[row["holder"]].append(hand_of(row))
        for link in links:
            heard = link.desk.compare(rows[link.holder], looked_at)
            link.say(heard.answers)
            self.write(link, heard.changes)


def names_of(link: Link) -> list[str]:
    """The later of two that are called the same gets a mark."""
    name = f"{remote.NAME}{OTHER.sub('-', link.name)}"
    return [name, f"{name}~{link.session[:8]}", f"{name}~{link.session}"]


def fencing(row: Row) -> Bye:
    """What is waited for may go on: it only has to say what it has in hand."""
    return Bye(AWAITED, fenced=False) if row["awaited"] else Bye(Fenced.why, fenced=True)


async def hands_of(conn: Conn, holder: int) -> list[Hand]:
    """With how much of their output is stored."""
    hands = [hand_of(row) for row in await remote.hands(conn, [holder])]
    by_key = {words.key_of(each): each for each in hands}
    if by_key:
        for end in await output.ends(conn, sorted(by_key)):
            by_key[end.task_id, end.attempt].logged = end.stored
    return hands


def hand_of(row: Row) -> Hand:
    wanted = row["wanted"] if row["wanted"] in desk.VERBS else None
    return Hand(
        f"{row['id']}.{row['attempt']}",
        row["run_id"],
        time.monotonic() - row["age"],
        row["kind"],
        wanted=wanted,
    )


def parts(values: Sequence[str], size: int) -> list[Sequence[str]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


@asynccontextmanager
async def opened(office: Office) -> AsyncIterator[Office]:
    """With its connections; whoever opens it runs its loops."""
    async with connections.open_pool(
        office.url,
        name="workers",
        size=POOL,
        options=connections.ENGINE_OPTIONS,
        patience=PATIENCE,
    ) as pool:
        office.pool = pool
        try:
            yield office
        finally:
            office.pool = None
