"""The agent as it runs: what happens is taken in turn, written down, and carried out then.

One task owns the core and its book. Carriers, the runner and whoever asks on the machine leave word
with it and never touch either. When the disk takes nothing, the turn has not happened: what the
machine itself said is kept for a later one, and what the server said it says again.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from edge.agent import machine, orders, packing, signing
from edge.agent.carriers import Line
from edge.agent.carriers.baton import Baton
from edge.agent.company import Company
from edge.agent.core import (
    Agent,
    Cut,
    Effect,
    Erase,
    Objection,
    Profile,
    Say,
    SendFile,
    SendLog,
    Spawn,
    Steer,
    unbegun,
)
from edge.agent.counter import Counter
from edge.agent.hands import Hands
from edge.agent.home import Config, Home
from edge.agent.keys import KeyRing
from edge.agent.local import Local, Refused, Verbs
from edge.agent.news import FromRunner
from edge.agent.owner import Owner
from edge.agent.page.server import Page
from edge.agent.reserve import Reserve
from edge.agent.runs import Runs, is_process
from edge.agent.service import Service
from edge.agent.store import DiskBook, NoRoom, open_book
from edge.agent.tokens import Tokens
from edge.agent.upkeep import Upkeep
from edge.agent.web import Web
from edge.messages import (
    Frame,
    Message,
    Offer,
    Refusal,
    Welcome,
)

log = logging.getLogger(__name__)

Happening: TypeAlias = Callable[[float, float], list[Effect]]

TICK = 1.0  # seconds; of a watchdog at most a third passes between two turns
SOON = 0.02  # seconds between two turns at least, where nothing happens but time
RETRY = 5.0  # seconds until the disk is tried again
UNFIT = "unfit"  # among the facts of the book
PATIENCE = 10.0  # seconds that the server may wait for us to meet the runner


@dataclass(frozen=True, slots=True)
class Event:
    happens: Happening
    is_ours: bool  # nobody says it again
    answer: "asyncio.Future[Any] | None" = None


class Program:
    def __init__(
        self, home: Home, config: Config, *, starts_runner: bool = True, version: str = ""
    ) -> None:
        self.home, self.config, self.version = home, config, version or installed()
        opened = open_book(home.book, Reserve(home.reserve).give_up)
        self.book: DiskBook = opened.book
        self.ring = KeyRing(home)
        self.sealed_to: Any = None
        self.owner = Owner(home.policy(config))
        self.facts = machine.facts()
        self.core = Agent(self.book, self.profile(), object_to=self.object_to)
        self.core.unfit = known_unfit(self.book, self.version)
        self.news = FromRunner(self, opened.put_aside)
        self.hands = Hands(home, config.slots, self.news, starts_runner=starts_runner)
        self.upkeep = Upkeep(home, config.name, self.book)
        self.core.full = self.upkeep.look_at_room
        self.service = Service()
        self.verbs = Verbs()
        self.local = Local(home.path, self.verbs)
        self.page = Page(self.verbs, self.owner.page, home.templates)
        self.web = Web(config.server, config.authorities)
        self.tokens = Tokens(self.web, config.name, self.ring, config.server_key, signing.apart)
        self.baton = Baton(config.carrier, self.web, self.tokens, self)

        self.events: list[Event] = []
        self.poked = asyncio.Event()
        self.turn_at = float("inf")  # what is gathered is due
        self.line: Line | None = None
        self.ahead = 0.0  # the server's clock before ours
        self.unwritable = ""  # why nothing at all can be written
        self.since = time.time()  # since when the server is there, or is not
        self.counter = Counter(self)
        self.known_peers: frozenset[str] = frozenset()  # workstations that can be asked
        self.runs = Runs(self)
        self.company = Company(self)

    # The whole life

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop, or until one of its parts fails; commands are the runner's."""
        self.upkeep.reserve.make()
        async with asyncio.TaskGroup() as group:
            await self.local.open()
            await self.company.open()
            parts = [
                group.create_task(self.turns(), name="turns"),
                group.create_task(self.hands.work(), name="hands"),
                group.create_task(self.connect(), name="line"),
                group.create_task(self.page.work(), name="page"),
                group.create_task(self.company.peers.work(), name="peers"),
                group.create_task(self.company.directory.work(), name="directory"),
            ]
            self.service.ready()
            log.info("agent ready", extra={"workstation": self.config.name})
            await stop.wait()
            self.service.stopping()
            for part in parts:
                part.cancel()
        await self.close()

    async def close(self) -> None:
        await self.company.close()
        await self.local.close()
        await self.hands.close()
        self.web.close()
        self.book.close()

    async def connect(self) -> None:
        """What the server is told first is what the runner has in hand."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self.news.has_met.wait()
        await self.baton.work()

    async def turns(self) -> None:
        while True:
            now = time.monotonic()
            self.turn(now, time.time())
            self.service.turned(now)
            await self.wait(min(TICK, self.service.every or TICK))

    async def wait(self, seconds: float) -> None:
        until = min(time.monotonic() + seconds, self.turn_at)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self.poked.wait()
        self.poked.clear()
        self.turn_at = float("inf")

    # A turn

    def turn(self, now: float, clock: float) -> None:
        events, self.events = self.events, []
        try:
            effects = [effect for event in events for effect in self.take(event, now, clock)]
            effects += self.look(now, clock)
            effects += self.core.tick(now, clock)
            effects += self.company.tick(now, clock)
            self.book.commit()
        except NoRoom as error:
            self.refuse(events, str(error))
            return
        self.unwritable = ""
        for event in events:
            if event.answer is not None and not event.answer.done():
                event.answer.set_result(None)
        self.carry_out(effects)
        self.turn_at = min(self.turn_at, now + max(SOON, self.runs.until_due(clock)))
        self.service.says(self.counter.summary())

    def take(self, event: Event, now: float, clock: float) -> list[Effect]:
        try:
            return event.happens(now, clock)
        except Refused as refused:
            if event.answer is None:
                raise
            event.answer.set_exception(refused)
            return []

    def refuse(self, events: Sequence[Event], why: str) -> None:
        """Nothing of it has happened. With what was kept in reserve there may be room for what
        must be said; new work is not taken until there is room again."""
        self.core.disconnect()
        self.core.remember()
        self.runs.forget()
        self.company.forget()
        if self.line is not None:
            self.line.cut("its book cannot be written")
        for event in events:
            if event.is_ours:
                self.events.append(event)
            elif event.answer is not None and not event.answer.done():
                event.answer.set_exception(Refused(why, "make room on its disk"))
        if self.upkeep.is_out_of_room():
            self.poked.set()
            return
        if not self.unwritable:
            log.error("the book cannot be written", extra={"reason": why})
        self.unwritable = why
        self.turn_at = time.monotonic() + RETRY

    def carry_out(self, effects: Iterable[Effect]) -> None:
        said: list[Message] = []
        for effect in effects:
            match effect:
                case Say(message):
                    said.append(message)
                case Spawn(offer):
                    self.spawn(offer)
                case Steer():
                    self.steer_one(effect)
                case SendLog():
                    self.hands.send_log(effect)
                case SendFile():
                    said += self.news.part(effect)
                case Erase(attempt):
                    self.hands.erase(attempt)
                    self.news.forget(attempt)
                case Cut(why, fenced):
                    self.cut(why, fenced)
                case _:
                    self.company.carry_out(effect)
        self.say(said)

    def steer_one(self, steer: Steer) -> None:
        """A run that was handed over, an order at a peer, or a command of this machine."""
        if not self.runs.steer(steer) and not self.company.steer(steer.attempt, steer.verb):
            self.hands.steer(steer)

    def say(self, messages: Sequence[Message]) -> None:
        if messages and self.line is not None:
            session = self.core.link.session if self.core.link else 0
            self.line.say(packing.texts(session, messages))

    def cut(self, why: str, fenced: bool) -> None:
        if fenced:
            log.error("another agent has this identity", extra={"reason": why})
            self.baton.fence()
        if self.line is not None:
            self.line.cut(why)

    def happened(self, happens: Happening, *, is_ours: bool = True) -> None:
        self.events.append(Event(happens, is_ours))
        self.poked.set()

    def soon(self, seconds: float) -> None:
        """A turn is due, which may gather what comes until then."""
        self.turn_at = min(self.turn_at, time.monotonic() + seconds)
        if self.line is not None:
            asyncio.get_running_loop().call_later(seconds, self.poked.set)

    async def decided(self, happens: Happening) -> None:
        """For whoever asks here: returns when it is written down."""
        answer = asyncio.get_running_loop().create_future()
        self.events.append(Event(happens, False, answer))
        self.poked.set()
        await answer

    # The line

    def opened(self, line: Line) -> None:
        self.line = line

        def greet(now: float, clock: float) -> list[Effect]:
            return self.core.connect(now, clock) if self.line is line else []

        self.happened(greet, is_ours=False)

    def heard(self, line: Line, frame: Frame) -> None:
        def hear(now: float, clock: float) -> list[Effect]:
            if self.line is not line:
                return []
            self.baton.heard(frame)
            for message in frame.messages:
                if isinstance(message, Welcome):
                    self.welcomed(message, clock)
            was = self.core.unfit
            effects = self.core.receive(frame, now, clock)
            if was != self.core.unfit:
                self.book.put(UNFIT, json.dumps([self.version, self.core.unfit]))
            return effects

        self.happened(hear, is_ours=False)

    def lost(self, line: Line, why: str) -> None:
        if self.line is not line:
            return
        log.info("the server is away", extra={"reason": why})
        self.line, self.since = None, time.time()
        self.baton.why = why
        self.core.disconnect()

    def nothing(self) -> str:
        return packing.frame(self.core.link.session if self.core.link else 0, [])

    def welcomed(self, welcome: Welcome, clock: float) -> None:
        self.ahead = welcome.clock - clock
        self.since = time.time()
        log.info("the server is there", extra={"session": welcome.session})

    def greet_again(self) -> None:
        """What hello tells has changed."""
        if self.line is not None:
            self.opened(self.line)

    # What is offered, and begins

    def sealing(self) -> Any:
        """Our key for secrets, with the first that there are."""
        if self.sealed_to is None:
            self.sealed_to = read_sealing(self.home.sealing)
        return self.sealed_to

    def object_to(self, offer: Offer) -> Objection:
        if self.hands.away:  # what passes is no reason to refuse for good
            return Refusal.BUSY, f"its runner is away: {self.hands.away}"
        if is_process(offer):
            return self.runs.object_to(offer)
        try:
            return self.examine(orders.command(offer, self.sealing))
        except orders.Unable as error:
            return Refusal.UNABLE, str(error)

    def examine(self, command: Mapping[str, Any]) -> Objection:
        """What the owner has against it, by their file as it is now."""
        self.look_at_policy()
        return self.owner.object_to(command)

    def spawn(self, offer: Offer) -> None:
        """The owner is asked once more: what may be done can have changed since it was offered."""
        if self.runs.spawn(offer):
            return
        try:
            command = orders.command(offer, self.sealing)
            objection = self.examine(command)
            if objection is None:
                return self.hands.spawn(offer.attempt, self.owner.policy.bounded(command))
            refusal, why = objection
        except (orders.Unable, OSError) as error:
            refusal, why = Refusal.UNABLE, str(error)
        ended = replace(
            unbegun(offer.attempt, "FAILED", f"refused by the workstation: {why}", time.time()),
            retryable=False,
            detail={"refused": refusal.value},
        )
        self.happened(lambda now, clock: self.news.end(ended, clock))

    # From time to time

    def look(self, now: float, clock: float) -> list[Effect]:
        self.news.tell_progress()
        self.look_at_policy()
        was = self.full
        self.upkeep.look(now, clock)
        if was != self.full:
            self.core.beat_soon()
        return self.runs.look(clock)

    @property
    def full(self) -> str:
        """Why no new work is taken."""
        return self.upkeep.full

    def look_at_policy(self) -> None:
        if self.owner.has_changed():
            self.page.look_again()
            self.core.profile = self.profile()
            self.greet_again()

    def profile(self) -> Profile:
        return Profile(
            slots=self.config.slots,
            version=self.version,
            labels=self.config.labels,
            facts=self.facts,
            policy=self.owner.summary(),
        )

    @property
    def state(self) -> str:
        if self.core.link is not None and self.core.link.session:
            return "connected"
        return "fenced" if self.baton.fenced else "away"

    def status(self) -> Mapping[str, Any]:
        return self.counter.status()


def installed() -> str:
    from importlib.metadata import version

    return version("procession")


def known_unfit(book: DiskBook, version: str) -> str:
    """What the server said last of this version: one that was upgraded meanwhile may do better."""
    found = book.db.execute("select value from facts where name = ?", (UNFIT,)).fetchone()
    told, why = json.loads(found[0]) if found else ("", "")
    return str(why) if told == version else ""


def read_sealing(path: Path) -> Any:
    if not path.exists():
        return None
    from edge import sealing

    return sealing.read_key(path)
