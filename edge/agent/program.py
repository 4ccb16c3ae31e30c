"""The agent as it runs: what happens is taken in turn, written down, and carried out then.

One task owns the core and its book. Carriers, the runner and whoever asks on the machine leave word
with it and never touch either. When the disk takes nothing, the turn has not happened: what the
machine itself said is kept for a later one, and what the server said it says again.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from edge import attempts
from edge.agent import machine, orders, packing, policy, signing
from edge.agent.book import Job, Left, Shut
from edge.agent.carriers import Line
from edge.agent.carriers.baton import Baton
from edge.agent.company import Company
from edge.agent.core import (
    FINAL,
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
    ends_alone,
    unbegun,
)
from edge.agent.hands import Hands, Met, part_of
from edge.agent.home import Config, Home
from edge.agent.keys import KeyRing
from edge.agent.local import Local, Refused, Verbs
from edge.agent.page.server import Page
from edge.agent.policy import BadPolicy, Policy
from edge.agent.reserve import Reserve
from edge.agent.runs import Runs, is_process
from edge.agent.service import Service
from edge.agent.store import DiskBook, NoRoom, open_book
from edge.agent.tokens import Tokens
from edge.agent.web import Web
from edge.messages import (
    Ended,
    Frame,
    Lane,
    Log,
    Message,
    Metrics,
    Offer,
    Phase,
    Refusal,
    Verb,
    Welcome,
)
from executor.link import Progress

log = logging.getLogger(__name__)

Happening: TypeAlias = Callable[[float, float], list[Effect]]

TICK = 1.0  # seconds; of a watchdog at most a third passes between two turns
SOON = 0.02  # seconds between two turns at least, where nothing happens but time
GATHER = 0.1  # seconds that what commands print is gathered
LOOK_EVERY = 10.0  # at the room on the disk
RETRY = 5.0  # seconds until the disk is tried again
KEEP_METRICS = 24 * 3600.0
MOST_KEPT = 256 << 20  # bytes of the outbox; then measures and progress are given up first
STOPPED = "stopped at the workstation"
ALONE = "stopped, as was agreed, since the server was out of sight"
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
        opened = open_book(home.book)
        self.book: DiskBook = opened.book
        self.put_aside = opened.put_aside
        self.ring = KeyRing(home)
        self.sealed_to: Any = None
        self.policy_file = home.policy(config)
        self.policy_look = looks(self.policy_file)
        self.policy, self.policy_fault = read_policy(self.policy_file)
        self.page_at: tuple[str, Sequence[str]] | None = None
        self.facts = machine.facts()
        self.core = Agent(self.book, self.profile(), object_to=self.object_to)
        self.hands = Hands(home, config.slots, self, starts_runner=starts_runner)
        self.reserve = Reserve(home.reserve)
        self.meter = machine.Meter(home.path)
        self.service = Service()
        self.verbs = Verbs()
        self.local = Local(home.path, self.verbs)
        self.page = Page(self.verbs, self.page_wanted, home.templates)
        self.web = Web(config.server, config.authorities)
        self.tokens = Tokens(self.web, config.name, self.ring, config.server_key, signing.apart)
        self.baton = Baton(config.carrier, self.web, self.tokens, self)

        self.events: list[Event] = []
        self.poked = asyncio.Event()
        self.turn_at = float("inf")  # what is gathered is due
        self.has_met = asyncio.Event()
        self.line: Line | None = None
        self.ahead = 0.0  # the server's clock before ours
        self.progress: dict[str, Progress] = {}  # what commands said last, while nobody listens
        self.stopped: dict[str, str] = {}  # by somebody here, and why
        self.full = ""  # why no new work is taken
        self.unwritable = ""  # why nothing at all can be written
        self.look_at = 0.0
        self.metrics_at = 0.0
        self.started_at = time.time()
        self.since = self.started_at  # since when the server is there, or is not
        self.add_verbs()
        self.known_peers: frozenset[str] = frozenset()  # workstations that can be asked
        self.runs = Runs(self)
        self.company = Company(self)

    # The whole life

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop, or until one of its parts fails; commands are the runner's."""
        self.reserve.make()
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
                await self.has_met.wait()
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
        self.service.says(self.summary())

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
        if self.line is not None:
            self.line.cut("its book cannot be written")
        for event in events:
            if event.is_ours:
                self.events.append(event)
            elif event.answer is not None and not event.answer.done():
                event.answer.set_exception(Refused(why, "make room on its disk"))
        self.full = "there is no room on its disk"
        if self.reserve.give_up():
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
                    said += self.part(effect)
                case Erase(attempt):
                    self.hands.erase(attempt)
                    self.progress.pop(attempt, None)
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
            return self.core.receive(frame, now, clock)

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
        if self.full:  # what passes is no reason to refuse for good
            return Refusal.BUSY, self.full
        if self.hands.away:
            return Refusal.BUSY, f"its runner is away: {self.hands.away}"
        if is_process(offer):
            return self.runs.object_to(offer)
        try:
            return self.examine(orders.command(offer, self.sealing))
        except orders.Unable as error:
            return Refusal.UNABLE, str(error)

    def examine(self, command: Mapping[str, Any]) -> Objection:
        self.look_at_policy()
        if self.policy_fault:
            return Refusal.POLICY, self.policy_fault
        if objection := self.policy.object_to(orders.examined(command), datetime.now(UTC)):
            return objection
        orders.invocation(self.policy.bounded(command), None)
        return None

    def spawn(self, offer: Offer) -> None:
        """The owner is asked once more: what may be done can have changed since it was offered."""
        if self.runs.spawn(offer):
            return
        try:
            command = orders.command(offer, self.sealing)
            objection = self.examine(command)
            if objection is None:
                return self.hands.spawn(offer.attempt, self.policy.bounded(command))
            refusal, why = objection
        except (orders.Unable, OSError) as error:
            refusal, why = Refusal.UNABLE, str(error)
        ended = replace(
            unbegun(offer.attempt, "FAILED", f"refused by the workstation: {why}", time.time()),
            retryable=False,
            detail={"refused": refusal.value},
        )
        self.happened(lambda now, clock: self.end(ended, clock))

    # What the runner says

    def met(self, met: Met) -> None:
        self.has_met.set()
        self.happened(lambda now, clock: self.adopt(met))

    def adopt(self, met: Met) -> list[Effect]:
        if self.put_aside is not None:
            self.take_over(met)
        for attempt, pid in met.pids.items():
            self.core.began(attempt, pid, time.time())
        effects = self.core.awake(met.all | self.runs.known())
        for job in list(self.book.jobs.values()):
            is_gone = job.attempt not in met.all and not is_process(job.offer)
            if job.phase is Phase.RUNNING and is_gone:
                effects += self.end(vanished(job.attempt), time.time())
        effects += self.runs.awake(time.time())
        for attempt, size in met.living.items():
            self.core.printed(attempt, size)
        for attempt in met.all - self.book.jobs.keys():
            effects.append(Steer(attempt, Verb.KILL) if attempt in met.living else Erase(attempt))
        return effects

    def take_over(self, met: Met) -> None:
        """With the book it is forgotten what was asked for; what is done is known to the runner."""
        log.error("the book was damaged and put aside", extra={"file": str(self.put_aside)})
        for attempt in met.all - self.book.jobs.keys():
            self.book.put_job(Job(Offer(attempt, {}), Phase.RUNNING))
        self.put_aside = None

    def began(self, attempt: str, pid: int, at: float) -> None:
        self.happened(lambda now, clock: self.core.began(attempt, pid, at))

    def printed(self, attempt: str, size: int) -> None:
        self.core.printed(attempt, size)
        self.turn_at = min(self.turn_at, time.monotonic() + GATHER)
        if self.line is not None:
            asyncio.get_running_loop().call_later(GATHER, self.poked.set)

    def progressed(self, attempt: str, told: Progress) -> None:
        """Of what nobody hears now, only the last is worth keeping."""
        self.progress[attempt] = told
        self.poked.set()

    def tell_progress(self) -> None:
        if self.core.link is None or not self.core.link.session:
            return
        for attempt, told in list(self.progress.items()):
            del self.progress[attempt]
            self.core.told(attempt, "progress", told)

    def ended(self, ended: Ended, files: Sequence[Left]) -> None:
        def happens(now: float, clock: float) -> list[Effect]:
            self.core.left(ended.attempt, files)
            return self.end(ended, clock)

        self.happened(happens)

    def end(self, ended: Ended, clock: float) -> list[Effect]:
        """Of what has no job any more, nobody wants to know."""
        if ended.attempt in self.book.jobs and attempts.is_own(ended.attempt):
            return self.runs.ended(ended, clock)
        job = self.book.jobs.get(ended.attempt)
        if job is None:
            return [Erase(ended.attempt)]
        if ended.ending == "STOPPED" and job.wanted in FINAL:
            ended = self.of_stopped(ended, job)
        return self.core.ended(ended)

    def of_stopped(self, ended: Ended, job: Job) -> Ended:
        """What the server has not asked for is a failure there. What somebody here has stopped,
        people decide about; what was not to go on alone may be tried again."""
        said = self.stopped.pop(ended.attempt, None)
        if said is None and job.command:
            return ended
        if said is None and ends_alone(job):
            return replace(ended, ending="FAILED", error=ALONE)
        return replace(ended, ending="FAILED", retryable=False, error=said or STOPPED)

    def read(self, log: Log) -> None:
        """Pieces of logs are written down nowhere: they are said as they are found."""
        if self.core.link is not None and self.core.link.session:
            job = self.book.jobs.get(log.attempt)
            end = log.offset + len(log.data) + log.gap
            self.say([replace(log, last=job is not None and job.printed == end)])

    def part(self, wanted: SendFile) -> list[Message]:
        if (found := part_of(wanted)) is not None:
            return [found]
        about = {"attempt": wanted.attempt, "file": wanted.file.name}
        log.error("a file that was left is gone", extra=about)
        self.happened(lambda now, clock: self.core.gone(wanted.attempt, wanted.file.number))
        return []

    # From time to time

    def look(self, now: float, clock: float) -> list[Effect]:
        self.tell_progress()
        self.look_at_policy()
        if now >= self.look_at:
            self.look_at = now + LOOK_EVERY
            self.look_at_room()
        if clock >= self.metrics_at:
            self.measure(clock)
        return self.runs.look(clock)

    def measure(self, clock: float) -> None:
        """Each workstation at its own moment of the minute."""
        first, self.metrics_at = not self.metrics_at, next_minute(self.config.name, clock)
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

    def look_at_policy(self) -> None:
        """At the file as it is, before anything is said of what it allows."""
        look = looks(self.policy_file)
        if look == self.policy_look:
            return
        self.policy_look = look
        found, fault = read_policy(self.policy_file)
        if (found.digest, fault) != (self.policy.digest, self.policy_fault):
            log.info("the owner's policy has changed", extra={"fault": fault or None})
            self.policy, self.policy_fault = found, fault
            self.page.look_again()
            self.core.profile = self.profile()
            self.greet_again()

    def look_at_room(self) -> None:
        if self.reserve.has_room():
            self.full = ""
        elif not self.full:
            self.full = "there is hardly any room on its disk"

    def page_wanted(self) -> tuple[str, Sequence[str]] | None:
        """Where the owner allows the page. It says so itself when their file is not understood."""
        if not self.policy_fault:
            at = self.policy.page
            self.page_at = (at, tuple(self.policy.page_names)) if at else None
        return self.page_at

    def profile(self) -> Profile:
        return Profile(
            slots=self.config.slots,
            version=self.version,
            labels=self.config.labels,
            facts=self.facts,
            policy={**self.policy.summary(), "fault": self.policy_fault},
        )

    # Whoever asks on the machine

    def add_verbs(self) -> None:
        self.verbs.add("status", lambda given: self.status())
        for verb in (Verb.HOLD, Verb.RESUME, Verb.STOP, Verb.KILL):
            self.verbs.add(verb.value, self.steering(verb))
        self.verbs.add("drain", lambda given: self.shut(True, str(given.get("why") or "")))
        self.verbs.add("undrain", lambda given: self.shut(False, ""))
        self.verbs.add("connect", lambda given: self.baton.call())

    def steering(self, verb: Verb) -> Callable[[Mapping[str, Any]], Any]:
        async def steer(given: Mapping[str, Any]) -> None:
            wanted = given.get("attempt")
            why = str(given.get("why") or "")
            await self.decided(lambda now, clock: self.steer(wanted, verb, why, clock))

        return steer

    def steer(self, wanted: Any, verb: Verb, why: str, clock: float) -> list[Effect]:
        """One attempt, or all that are in hand."""
        there = [job.attempt for job in self.book.jobs.values() if job.phase is not Phase.ENDED]
        if wanted is not None and wanted not in there:
            raise Refused(f"{str(wanted)[:80]!r} is not in hand", "`procession edge status` lists")
        chosen = there if wanted is None else [wanted]
        if verb in FINAL:
            said = f"{STOPPED}: {why}" if why else STOPPED
            self.stopped.update(dict.fromkeys(chosen, said))
        return [
            effect
            for attempt in chosen
            for effect in self.core.steer_here(attempt, verb, why, clock)
        ]

    async def shut(self, draining: bool, why: str) -> None:
        def put(now: float, clock: float) -> list[Effect]:
            self.book.put_shut(Shut(draining, why, self.book.shut.command))
            return []

        await self.decided(put)
        self.greet_again()

    def status(self) -> Mapping[str, Any]:
        link = self.core.link
        return {
            "name": self.config.name,
            "server": self.config.server,
            "version": self.version,
            "pid": os.getpid(),
            "started_at": self.started_at,
            "state": self.state,
            "since": self.since,
            "why": self.baton.why or None,
            "carrier": self.line.carrier if self.line else None,
            "session": link.session if link else None,
            "clock_ahead": round(-self.ahead, 3),  # ours before the server's
            "slots": self.config.slots,
            "free": self.core.free(),
            "draining": self.book.shut.draining,
            "drain_reason": self.book.shut.why or None,
            "labels": dict(self.config.labels),
            "attempts": [self.shown(job) for job in self.book.jobs.values()],
            "waiting": self.waiting(),
            "full": self.full or None,
            "unwritable": self.unwritable or None,
            "unfit": self.core.unfit or None,
            "peers": self.company.status(),
            "runner": {"pid": self.hands.pid, "away": self.hands.away or None},
            "policy": {
                **self.policy.summary(),
                "file": str(self.policy_file),
                "fault": self.policy_fault or None,
            },
        }

    @property
    def state(self) -> str:
        if self.core.link is not None and self.core.link.session:
            return "connected"
        return "fenced" if self.baton.fenced else "away"

    def shown(self, job: Job) -> Mapping[str, Any]:
        about = job.offer.invocation.get("about") or {}
        return {
            "attempt": job.attempt,
            "phase": job.phase.value,
            "wanted": job.wanted.value if job.wanted else None,
            "argv": job.offer.invocation.get("argv"),
            "about": about,
            "printed": self.core.size(job),
            "stored": job.stored,
        }

    def waiting(self) -> Mapping[str, int]:
        """What the server has not, of each kind."""
        lanes = {
            lane.name.lower(): self.book.last(lane) - self.book.have(lane)
            for lane in (Lane.RESULTS, Lane.EVENTS, Lane.OUTPUTS, Lane.METRICS)
        }
        logs = sum(max(0, self.core.size(job) - job.stored) for job in self.book.jobs.values())
        files = sum(
            each.size - max(0, each.stored) for left in self.book.files.values() for each in left
        )
        return {**lanes, "log_bytes": logs, "file_bytes": files}

    def summary(self) -> str:
        count = sum(job.phase is not Phase.ENDED for job in self.book.jobs.values())
        waits = sum(self.waiting().values())
        return f"{self.state}; {count} in hand" + ("; there is something to send" if waits else "")


def installed() -> str:
    from importlib.metadata import version

    return version("procession")


def vanished(attempt: str) -> Ended:
    why = "the runner does not know it any more; how far it came is not known"
    return Ended(attempt, "LOST", time.time(), error=why)


def next_minute(name: str, clock: float) -> float:
    offset = int.from_bytes(sha256(name.encode()).digest()[:4]) % 60
    return (clock - offset) // 60 * 60 + 60 + offset


def read_policy(path: Path) -> tuple[Policy, str]:
    """Without a file, and with one that is not understood, nothing is allowed: says why."""
    try:
        return policy.read(path), ""
    except BadPolicy as error:
        return Policy(), f"nothing is allowed here: {error}"


def looks(path: Path) -> tuple[int, ...]:
    """What changes with a file's content, and with who may write it."""
    try:
        facts = path.stat()
    except OSError:
        return ()
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def read_sealing(path: Path) -> Any:
    if not path.exists():
        return None
    from edge import sealing

    return sealing.read_key(path)
