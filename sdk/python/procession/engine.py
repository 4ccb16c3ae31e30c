"""A worker at work: puts the core, the carriers, the handlers and the workflows together."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from procession.carriers import Carriers, Mode, Rejected
from procession.connecting import Server
from procession.core import Begin, Core, Dismissed, Event, Gone, Heard, Met, Ordered, Serving
from procession.handling import Served
from procession.hands import LEAVING, Hands
from procession.hosting import Host, Hosted
from procession.messages import (
    NEWEST,
    OLDEST,
    Diverged,
    Ended,
    FlowSaid,
    Frame,
    Log,
    Offer,
    Parked,
    Progress,
    Welcome,
)
from procession.telling import raised

log = logging.getLogger(__name__)

TELLING = 5.0  # seconds that the last ends may take to be acknowledged
CLEANING = 2.0  # seconds that handlers have to clean up when the grace is over


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a worker was told before it began."""

    server: Server
    serving: Serving
    handlers: Mapping[str, Served]
    host: Host | None = None
    carrier: Mode = "auto"
    grace: float = 30.0


class Line:
    """What an attempt of a workflow speaks by."""

    def __init__(self, engine: "Engine", offer: Offer) -> None:
        self.engine, self.offer = engine, offer

    @property
    def attempt(self) -> str:
        return self.offer.attempt

    @property
    def worker(self) -> str:
        return self.engine.core.serving.name

    def say(self, message: FlowSaid | Progress | Log) -> None:
        self.engine.core.tell(message)
        if isinstance(message, Diverged):
            self.engine.put_down(self.attempt)
        self.engine.spoke()

    def end(self, ended: Ended) -> None:
        self.engine.put_down(self.attempt)
        self.engine.core.end(ended)
        self.engine.spoke()

    def hand_back(self, why: str) -> None:
        self.engine.put_down(self.attempt)
        self.engine.core.hand_back(self.attempt, why)
        self.engine.spoke()


class Engine:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.core = Core(plan.serving)
        self.hands = Hands(
            plan.serving.name,
            plan.serving.slots,
            self.core.tell,
            self.core.end,
            self.spoke,
        )
        self.flows: dict[str, Hosted] = {}
        self.carriers = Carriers(plan.server, plan.carrier, self)
        self.pulse = asyncio.Event()
        self.welcomed = asyncio.Event()
        self.stopping = asyncio.Event()  # a first signal
        self.hurrying = asyncio.Event()  # a second one
        self.moved = asyncio.Event()  # what is in hand has changed
        self.poll_every = 1.0
        self.beat_every = 5.0

    # The whole life

    async def run(self) -> None:
        carrying = asyncio.create_task(self.carriers.work(), name="carriers")
        beating = asyncio.create_task(self.beat(), name="beats")
        stopping = asyncio.create_task(self.stopping.wait(), name="stopping")
        try:
            await asyncio.wait({carrying, beating, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                self.raise_of(carrying, beating)
            await self.leave(carrying)
        finally:
            await self.end(carrying, beating, stopping)

    def raise_of(self, *tasks: asyncio.Task[None]) -> None:
        """Neither ends by itself but by an error."""
        for each in tasks:
            if each.done():
                each.result()

    async def end(self, *tasks: asyncio.Task[object]) -> None:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for attempt, hosted in list(self.flows.items()):
            self.flows.pop(attempt, None)
            hosted.lost("the worker leaves")
        await self.hands.end()

    async def beat(self) -> None:
        while True:
            await self.welcomed.wait()
            await asyncio.sleep(self.beat_every)
            self.core.beat()
            self.spoke()

    # Leaving

    async def leave(self, carrying: asyncio.Task[None]) -> None:
        """What is in hand may end within the grace; what has not begun is handed back."""
        log.info("leaving, with %d in hand", len(self.core.in_hand))
        self.core.drain()
        self.hand_back_unbegun()
        for each in list(self.flows.values()):
            each.closing()
        self.spoke()
        if not await self.emptied(self.plan.grace):
            self.hands.interrupt()
            await self.emptied(CLEANING)
            self.hands.give_up()
        await self.told(carrying)

    def hand_back_unbegun(self) -> None:
        for attempt in self.hands.withdraw():
            self.core.hand_back(attempt, LEAVING)

    async def emptied(self, seconds: float) -> bool:
        """Whether nothing is in hand any more. A second signal ends the wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.core.in_hand and not self.hurrying.is_set():
                    self.moved.clear()
                    await self.moved.wait()
        return not self.core.in_hand

    async def told(self, carrying: asyncio.Task[None]) -> None:
        """The last ends are acknowledged, then this worker says that it leaves."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TELLING):
                while self.core.untold and not self.hurrying.is_set() and not carrying.done():
                    self.moved.clear()
                    await self.moved.wait()
        self.core.leave()
        self.spoke()
        with suppress(TimeoutError):
            async with asyncio.timeout(TELLING if self.core.is_connected else 0):
                while self.core.is_connected and not carrying.done():
                    self.moved.clear()
                    await self.moved.wait()

    def stop(self) -> None:
        """Once: in good order. Twice: at once."""
        if self.stopping.is_set():
            self.hurrying.set()
            self.moved.set()
        self.stopping.set()

    # As carriers see it

    def opened(self) -> None:
        self.welcomed.clear()
        self.core.connected()
        self.pulse.set()

    def lost(self) -> None:
        self.core.disconnected()
        self.moved.set()

    def over(self, why: str) -> None:
        self.apply(self.core.fence(why))

    def heard(self, frame: Frame) -> None:
        self.apply(self.core.heard(frame))
        self.spoke()

    def spoke(self) -> None:
        if self.core.waiting:
            self.pulse.set()
        self.moved.set()

    # What follows

    def apply(self, events: Iterable[Event]) -> None:
        for each in events:
            match each:
                case Begin(offer):
                    self.begin(offer)
                case Ordered(command):
                    self.order(command.attempt, command.verb, command.reason, each)
                case Gone(attempts, why):
                    self.give_up(attempts, why)
                case Heard(message):
                    self.pass_on(message.attempt, each)
                case Met(welcome):
                    self.meet(welcome)
                case Dismissed(why, fenced):
                    self.dismissed(why, fenced)

    def begin(self, offer: Offer) -> None:
        served = self.plan.handlers.get(offer.action)
        if offer.workflow is not None:
            self.begin_flow(offer)
        elif served is not None:
            self.hands.begin(offer, served)
        else:
            self.core.hand_back(offer.attempt, f"this worker does not serve {offer.action!r}")

    def begin_flow(self, offer: Offer) -> None:
        if self.plan.host is None:
            self.core.hand_back(offer.attempt, "this worker serves no workflows")
            return
        try:
            hosted = self.plan.host.begin(offer, Line(self, offer))
        except Exception as error:
            self.core.end(raised(offer.attempt, error))
            return
        if offer.attempt in self.core.in_hand:
            self.flows[offer.attempt] = hosted

    def order(self, attempt: str, verb: str, reason: str, event: Ordered) -> None:
        hosted = self.flows.get(attempt)
        if hosted is not None:
            hosted.commanded(event.command)
        else:
            self.hands.order(attempt, verb, reason)

    def pass_on(self, attempt: str, event: Heard) -> None:
        hosted = self.flows.get(attempt)
        if hosted is not None:
            if isinstance(event.message, Parked):
                self.put_down(attempt)
            hosted.heard(event.message)

    def give_up(self, attempts: tuple[str, ...], why: str) -> None:
        log.warning("these attempts are put down: %s: %s", ", ".join(attempts), why)
        for each in attempts:
            hosted = self.flows.pop(each, None)
            if hosted is not None:
                hosted.lost(why)
            else:
                self.hands.forget(each, why)

    def meet(self, welcome: Welcome) -> None:
        if not OLDEST <= welcome.protocol <= NEWEST:
            raise Rejected(
                f"the server speaks version {welcome.protocol}, which is not spoken here"
            )
        self.beat_every, self.poll_every = max(0.1, welcome.beat), max(0.0, welcome.poll)
        self.carriers.met()
        self.welcomed.set()
        log.info("%s is connected to %s", self.core.serving.name, self.plan.server.url)
        for each in list(self.flows.values()):
            each.met()

    def dismissed(self, why: str, fenced: bool) -> None:
        log.warning("the server ended the session: %s", why)
        if fenced or self.carriers.is_polling:
            self.carriers.is_cut = True

    def put_down(self, attempt: str) -> None:
        self.flows.pop(attempt, None)
