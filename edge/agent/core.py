"""What an agent decides. No clock, no socket, no process: it is told, and answers what to do.

Each method answers effects. Whoever calls it commits the book first and carries the effects out
then, in their order; if it dies between the two, `awake` sets right what was left undone.

Nothing begins on a word that may be old: an offer is written down and accepted, and begins when the
server, which has written that down in turn, says *start* within the same session.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from edge import attempts, wire
from edge.agent.book import Book, Job, Left, Shut
from edge.messages import (
    DOES,
    NEWEST,
    NUMBERED,
    OLDEST,
    Accept,
    Answer,
    Began,
    Body,
    Bye,
    Command,
    Done,
    Ended,
    Forget,
    Frame,
    FromServer,
    Have,
    Hello,
    Item,
    Json,
    Known,
    Lane,
    Lease,
    Message,
    Missing,
    Offer,
    Output,
    Phase,
    Refusal,
    Reject,
    Start,
    Stock,
    Stocked,
    Verb,
    Verdict,
    Welcome,
    file_name,
)

FINAL = frozenset({Verb.STOP, Verb.KILL})
STEERING = frozenset({Verb.HOLD, Verb.RESUME, Verb.STOP, Verb.KILL})
BEGUN = frozenset({Phase.STARTING, Phase.RUNNING})
EXPIRED = "EXPIRED"
REMEMBERED = 1_000  # attempts of which a session knows that they are over


@dataclass(frozen=True, slots=True)
class Rules:
    resend: float = 5.0  # seconds without progress until something is said again
    greeting: float = 10.0  # seconds until an unanswered hello is given up
    silence: float = 3.0  # beats without a word until the line counts as cut
    alone: float = 60.0  # seconds without the server until what shall not go on alone is stopped
    window: int = 64  # items of a lane on their way
    piece: int = 64 << 10  # bytes of a log sent at once
    pieces: int = 16  # of one log on their way


@dataclass(frozen=True, slots=True)
class Profile:
    """What hello tells of the machine."""

    slots: int
    version: str = ""
    labels: Json = field(default_factory=dict)
    facts: Json = field(default_factory=dict)
    policy: Json = field(default_factory=dict)


# Effects.


@dataclass(frozen=True, slots=True)
class Say:
    message: Message


@dataclass(frozen=True, slots=True)
class Spawn:
    offer: Offer


@dataclass(frozen=True, slots=True)
class Steer:
    """Of a command that runs. Asked for twice it does nothing twice."""

    attempt: str
    verb: Verb
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class SendLog:
    attempt: str
    offset: int
    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class SendFile:
    attempt: str
    file: Left
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Erase:
    """Nobody needs any more what the runner keeps of it."""

    attempt: str


@dataclass(frozen=True, slots=True)
class Cut:
    """This connection is of no use any more."""

    why: str
    fenced: bool = False


Effect: TypeAlias = Say | Spawn | Steer | SendLog | SendFile | Erase | Cut
Objection: TypeAlias = tuple[Refusal, str] | None
OnStock: TypeAlias = Callable[[Stock, float], list[Effect]]
OnRun: TypeAlias = Callable[[Command, float], tuple[str, list[Effect]]]  # why not, or what follows


@dataclass
class Way:
    """How far something has been sent over this connection, and since when nothing came back."""

    sent: int
    since: float


@dataclass
class Link:
    """One connection. What it holds is lost with it."""

    greeting: int
    since: float
    session: int = 0
    lead: float = 0.0  # the server's clock before our `now`, at the most; ours may be set anew
    beat: float = 15.0
    heard: float = 0.0
    beaten: float = float("-inf")
    asked: dict[str, float] = field(default_factory=dict)
    lanes: dict[Lane, Way] = field(default_factory=dict)
    logs: dict[str, Way] = field(default_factory=dict)
    files: dict[str, Way] = field(default_factory=dict)
    takes_files: bool = False
    over: dict[str, None] = field(default_factory=dict)  # dropped lately: their offers are old


class Agent:
    def __init__(
        self,
        book: Book,
        profile: Profile,
        rules: Rules | None = None,
        object_to: Callable[[Offer], Objection] = lambda offer: None,
    ) -> None:
        self.book, self.profile, self.rules = book, profile, rules or Rules()
        self.object_to = object_to  # the owner's policy
        self.full: Callable[[], str] = lambda: ""  # why nothing new begins, at this moment
        self.link: Link | None = None
        self.seen: float | None = None  # when the server was last heard
        self.sizes: dict[str, int] = {}  # bytes printed so far by what runs
        self.unfit = ""  # why the server gives us nothing new, as it said last
        self.unheard: set[int] = set()  # commands whose fate the server has not been told
        self.on_run: OnRun | None = None  # who decides about runs of our own
        self.on_stock: OnStock | None = None  # who keeps what is needed when we are alone

    # The machine's side.

    def awake(self, living: Iterable[str]) -> list[Effect]:
        """After a start. `living`: what the runner knows of, ended or not.

        What may have begun and is not known to it has not begun: the server is asked anew.
        """
        known = set(living)
        self.remember()
        effects: list[Effect] = []
        for job in list(self.book.jobs.values()):
            if job.phase is Phase.STARTING:
                phase = Phase.RUNNING if job.attempt in known else Phase.ACCEPTED
                self.book.put_job(job := replace(job, phase=phase))
            if job.phase is Phase.RUNNING and job.wanted is not None:
                effects.append(Steer(job.attempt, job.wanted))
        return effects

    def remember(self) -> None:
        """What the book says, and nothing of what was only meant to be written into it."""
        have, last = self.book.have(Lane.RESULTS), self.book.last(Lane.RESULTS)
        found = self.book.items(Lane.RESULTS, have, last)
        self.unheard = {body.command for _, body in found if isinstance(body, Done)}

    def began(self, attempt: str, pid: int, at: float) -> list[Effect]:
        job = self.book.jobs.get(attempt)
        if job is not None and job.phase is Phase.STARTING:
            self.book.put_job(replace(job, phase=Phase.RUNNING))
            self.book.add(Lane.EVENTS, Began(attempt, pid, at))
        return []

    def printed(self, attempt: str, size: int) -> None:
        self.sizes[attempt] = max(size, self.sizes.get(attempt, 0))

    def told(self, attempt: str, kind: str, value: Json) -> list[Effect]:
        if attempt in self.book.jobs:
            self.book.add(Lane.OUTPUTS, Output(attempt, kind, value))
        return []

    def left(self, attempt: str, files: Iterable[Left]) -> None:
        """By a command that is about to be told of as ended."""
        job = self.book.jobs.get(attempt)
        if job is not None and job.phase is not Phase.ENDED:
            self.book.put_files(attempt, tuple(files))

    def ended(self, ended: Ended) -> list[Effect]:
        job = self.book.jobs.get(ended.attempt)
        if job is None or job.phase is Phase.ENDED:
            return []
        seq = self.book.add(Lane.RESULTS, wire.fitting(ended))
        self.book.put_job(
            replace(job, phase=Phase.ENDED, result=seq, printed=ended.printed),
        )
        self.sizes[ended.attempt] = ended.printed
        return []

    # The line.

    def connect(self, now: float, clock: float) -> list[Effect]:
        """A connection is there: nothing said over an earlier one counts any more."""
        greeting = self.book.next_greeting()
        self.link = Link(greeting, now, heard=now)
        return [Say(self.hello(greeting, clock))]

    def hello(self, greeting: int, clock: float) -> Hello:
        # What we decide about ourselves, the server has no say in.
        jobs = [job for job in self.book.jobs.values() if not attempts.is_own(job.attempt)]
        return Hello(
            greeting=greeting,
            oldest=OLDEST,
            newest=NEWEST,
            lineage=self.book.lineage,
            slots=self.profile.slots,
            clock=clock,
            version=self.profile.version,
            draining=self.book.shut.draining,
            labels=self.profile.labels,
            facts=self.profile.facts,
            policy=self.profile.policy,
            last=tuple(self.book.last(lane) if lane in NUMBERED else 0 for lane in Lane),
            known=tuple(Known(job.attempt, job.phase, job.stored) for job in jobs),
            does=DOES if self.on_run is not None else (),
        )

    def disconnect(self) -> None:
        self.link = None

    def frame(self, effects: Iterable[Effect]) -> Frame:
        """What of these is to be said, for whoever carries it."""
        session = self.link.session if self.link else 0
        return Frame(session, tuple(each.message for each in effects if isinstance(each, Say)))

    def receive(self, frame: Frame, now: float, clock: float) -> list[Effect]:
        effects: list[Effect] = []
        for message in frame.messages:
            if self.link is None or not self.is_meant(frame, message):
                continue
            self.link.heard = now
            effects += self.take(message, now, clock)
        return effects + (self.flow(now) if self.link and self.link.session else [])

    def is_meant(self, frame: Frame, message: Message) -> bool:
        """Whether it belongs to the session of this connection, or begins it."""
        link = self.link
        assert link is not None
        if isinstance(message, Welcome):
            return message.greeting == link.greeting and link.session == 0
        return isinstance(message, Bye) or (frame.session == link.session and link.session > 0)

    def take(self, message: Message, now: float, clock: float) -> list[Effect]:
        match message:
            case Welcome():
                return self.welcome(message, now, clock)
            case Offer():
                return self.offered(message, now)
            case Start(attempt):
                return self.start(attempt, now, clock)
            case Forget(attempt):
                return self.forget(attempt)
            case Have():
                if self.link:
                    self.link.lead = max(self.link.lead, message.clock - now)
                self.filed(message.files, now)
                return self.got(message.lanes, message.safe, message.logs, now)
            case Command():
                return self.command(message, clock)
            case Stock() if self.on_stock is not None:
                return [*self.on_stock(message, clock), Say(Stocked(message.revision))]
            case Bye(why, fenced):
                self.link = None
                return [Cut(why, fenced)]
        return []

    def welcome(self, message: Welcome, now: float, clock: float) -> list[Effect]:
        link = self.link
        assert link is not None
        if not OLDEST <= message.protocol <= NEWEST:
            self.link = None
            return [Cut(f"the server speaks version {message.protocol} of the protocol")]
        # It looked at its clock after our hello, so nothing begins too late for a slow answer.
        link.lead, link.beat = message.clock - link.since, message.beat
        link.session, link.takes_files = message.session, message.files
        self.unfit = message.unfit
        effects: list[Effect] = []
        for answer in message.answers:
            effects += self.answered(answer, now, clock)
        return effects + self.got(message.have, message.safe, {}, now)

    def answered(self, answer: Answer, now: float, clock: float) -> list[Effect]:
        match answer.verdict:
            case Verdict.START:
                return self.start(answer.attempt, now, clock)
            case Verdict.STOP:
                return self.give_up(answer.attempt)
            case Verdict.FORGET:
                return self.forget(answer.attempt)
            case Verdict.CONTINUE:
                return []

    # Attempts.

    def offered(self, offer: Offer, now: float) -> list[Effect]:
        job = self.book.jobs.get(offer.attempt)
        if job is None:
            if self.link is None or offer.attempt in self.link.over:
                return []
            if objection := self.objection(offer):
                return [Say(Reject(offer.attempt, *objection))]
            self.book.put_job(job := Job(offer, Phase.ACCEPTED))
        return self.accept(job, now)

    def objection(self, offer: Offer) -> Objection:
        if self.book.shut.draining:
            return Refusal.DRAINING, self.book.shut.why or "it takes no new work"
        if self.unfit:
            return Refusal.DRAINING, self.unfit
        if full := self.full():  # what passes is no reason to refuse for good
            return Refusal.BUSY, full
        if self.free() <= 0:
            return Refusal.BUSY, f"all {self.profile.slots} slots are taken"
        return self.object_to(offer)

    def free(self) -> int:
        if self.full():
            return 0
        taken = sum(takes_slot(job) for job in self.book.jobs.values())
        return max(0, self.profile.slots - taken)

    def accept(self, job: Job, now: float) -> list[Effect]:
        if self.link is None or job.phase is not Phase.ACCEPTED:
            return []
        self.link.asked[job.attempt] = now
        return [Say(Accept(job.attempt))]

    def start(self, attempt: str, now: float, clock: float) -> list[Effect]:
        job = self.book.jobs.get(attempt)
        if job is None or job.phase is not Phase.ACCEPTED:
            return []
        if (late := self.lateness(job.offer, now)) is not None:
            return self.ended(unbegun(attempt, EXPIRED, late, clock))
        self.book.put_job(replace(job, phase=Phase.STARTING))
        held = [] if job.wanted is None else [Steer(attempt, job.wanted)]
        return [Spawn(job.offer), *held]

    def lateness(self, offer: Offer, now: float) -> str | None:
        if offer.start_before is None or self.link is None:
            return None
        late = now + self.link.lead - offer.start_before
        return f"it had to start {late:.0f} s ago" if late > 0 else None

    def forget(self, attempt: str) -> list[Effect]:
        job = self.book.jobs.get(attempt)
        if job is None or job.phase is not Phase.ACCEPTED:
            return []
        return self.drop(job)

    def give_up(self, attempt: str) -> list[Effect]:
        """The server has taken it from us. What becomes of it is told all the same."""
        job = self.book.jobs.get(attempt)
        if job is None or job.phase is Phase.ENDED:
            return []
        if job.phase is Phase.ACCEPTED:
            return self.drop(job)
        self.book.put_job(replace(job, wanted=Verb.KILL))
        return [Steer(attempt, Verb.KILL)]

    def drop(self, job: Job) -> list[Effect]:
        if self.link:
            self.link.asked.pop(job.attempt, None)
            self.link.logs.pop(job.attempt, None)
            for each in self.book.files.get(job.attempt, ()):
                self.link.files.pop(file_name(job.attempt, each.number), None)
            self.link.over[job.attempt] = None
            if len(self.link.over) > REMEMBERED:
                del self.link.over[next(iter(self.link.over))]
        self.book.drop_job(job.attempt)
        self.sizes.pop(job.attempt, None)
        return [Erase(job.attempt)]

    # Commands.

    def steer_here(self, attempt: str, verb: Verb, why: str, clock: float) -> list[Effect]:
        """Wanted by somebody at the machine, who needs no number: the newest word counts."""
        job = self.book.jobs.get(attempt)
        if job is None or job.phase is Phase.ENDED:
            return []
        if job.wanted in FINAL and verb not in FINAL:
            return []
        self.book.put_job(replace(job, wanted=verb))
        self.book.add(Lane.OUTPUTS, Output(attempt, verb.value, {"by": "station", "why": why}))
        if job.phase is not Phase.ACCEPTED:
            return [Steer(attempt, verb)]
        if verb in FINAL:
            ended = unbegun(attempt, "FAILED", why or "stopped at the workstation", clock)
            return self.ended(replace(ended, retryable=False))
        return []

    def command(self, command: Command, clock: float) -> list[Effect]:
        if command.id in self.unheard:
            return []  # done, and the answer is on its way
        if command.attempt is None:
            return self.steer_all(command)
        if self.on_run is not None and attempts.is_run(command.attempt):
            why, effects = self.on_run(command, clock)
            self.answer(command, why)
            return effects
        job = self.book.jobs.get(command.attempt)
        if job is None or job.phase is Phase.ENDED:
            return self.answer(command, "it is over" if job else "it is not here")
        if command.verb not in STEERING:
            return self.answer(command, f"{command.verb} is for a run that is decided here")
        if command.id <= job.command:
            return self.answer(command, f"command {job.command} came later and counts")
        return self.steer(job, command, clock)

    def steer(self, job: Job, command: Command, clock: float) -> list[Effect]:
        if job.wanted in FINAL and command.verb not in FINAL:
            self.book.put_job(replace(job, command=command.id))
            return self.answer(command, "it is being stopped")
        self.book.put_job(replace(job, command=command.id, wanted=command.verb))
        self.answer(command)
        if job.phase is not Phase.ACCEPTED:
            return [Steer(job.attempt, command.verb, command.grace)]
        if command.verb in FINAL:
            why = command.reason or "stopped before it began"
            return self.ended(unbegun(job.attempt, "STOPPED", why, clock))
        return []

    def steer_all(self, command: Command) -> list[Effect]:
        if command.id <= self.book.shut.command:
            return self.answer(command, "a later command counts")
        if command.verb not in (Verb.DRAIN, Verb.UNDRAIN):
            return self.answer(command, f"{command.verb} is for one attempt")
        draining = command.verb is Verb.DRAIN
        self.book.put_shut(Shut(draining, command.reason if draining else "", command.id))
        return self.answer(command)

    def answer(self, command: Command, why: str = "") -> list[Effect]:
        self.unheard.add(command.id)
        self.book.add(Lane.RESULTS, Done(command.id, command.attempt, not why, why))
        return []

    # What is on its way.

    def got(
        self, have: tuple[int, ...], safe: tuple[int, ...], logs: Mapping[str, object], now: float
    ) -> list[Effect]:
        """The server has so much. It may have less than it had, if it was restored."""
        for lane in NUMBERED:
            if lane < len(have) and have[lane] <= self.book.last(lane):
                self.heard(lane, have[lane], now)
            if lane < len(safe):
                self.book.forget(lane, min(safe[lane], self.book.have(lane)))
        for attempt, offset in logs.items():
            if isinstance(offset, int) and attempt in self.book.jobs:
                self.logged(attempt, offset, now)
        return self.finish()

    def heard(self, lane: Lane, seq: int, now: float) -> None:
        before = self.book.have(lane)
        if seq == before:
            return
        if lane is Lane.RESULTS:
            for _, body in self.book.items(lane, before, max(0, seq - before)):
                if isinstance(body, Done):
                    self.unheard.discard(body.command)
        self.book.put_have(lane, seq)
        if self.link and (way := self.link.lanes.get(lane)):
            way.since, way.sent = now, max(way.sent, seq)

    def logged(self, attempt: str, offset: int, now: float) -> None:
        """It may want again what it had, if it was restored."""
        job = self.book.jobs[attempt]
        if offset == job.stored:
            return
        self.book.put_job(replace(job, stored=offset))
        if self.link and (way := self.link.logs.get(attempt)):
            way.since, way.sent = now, max(way.sent, offset) if offset > job.stored else offset

    def finish(self) -> list[Effect]:
        """What the server has whole needs to be kept no longer."""
        effects: list[Effect] = []
        for job in list(self.book.jobs.values()):
            files = self.book.files.get(job.attempt, ())
            if is_delivered(job, self.book.have(Lane.RESULTS)) and all(map(is_stored, files)):
                effects += self.drop(job)
        return effects

    def tick(self, now: float, clock: float) -> list[Effect]:
        return self.look_alone(now) + self.look_at_link(now, clock)

    def look_alone(self, now: float) -> list[Effect]:
        """Some work may go on only where the server sees it."""
        if self.link is not None and self.link.session:
            self.seen = self.link.heard
        elif self.seen is None:
            self.seen = now
        elif now - self.seen >= self.rules.alone:
            return [each for job in list(self.book.jobs.values()) for each in self.end_alone(job)]
        return []

    def end_alone(self, job: Job) -> list[Effect]:
        if not ends_alone(job) or job.phase not in BEGUN or job.wanted in FINAL:
            return []
        self.book.put_job(replace(job, wanted=Verb.STOP))
        return [Steer(job.attempt, Verb.STOP)]

    def look_at_link(self, now: float, clock: float) -> list[Effect]:
        link = self.link
        if link is None:
            return []
        if link.session == 0:
            if now - link.since < self.rules.greeting:
                return []
            self.link = None
            return [Cut("nobody answered hello")]
        if now - link.heard > self.rules.silence * link.beat:
            self.link = None
            return [Cut(f"nothing was heard for {now - link.heard:.0f} s")]
        return self.beat(link, now, clock) + self.flow(now)

    def beat_soon(self) -> None:
        """What the next sign of life tells has changed."""
        if self.link is not None:
            self.link.beaten = float("-inf")

    def beat(self, link: Link, now: float, clock: float) -> list[Effect]:
        if now - link.beaten < link.beat:
            return []
        link.beaten = now
        running = tuple(
            job.attempt for job in self.book.jobs.values() if job.phase is not Phase.ENDED
        )
        return [Say(Lease(running, self.free(), clock))]

    def flow(self, now: float) -> list[Effect]:
        """What may be sent now: what was not heard of for long again, of logs what is new."""
        link = self.link
        assert link is not None
        effects: list[Effect] = []
        for job in self.book.jobs.values():
            if job.phase is Phase.ACCEPTED and self.is_due(link.asked.get(job.attempt), now):
                effects += self.accept(job, now)
        for lane in NUMBERED:
            if lane is Lane.METRICS and not self.logs_are_sent(link):
                break
            effects += self.send(link, lane, now)
            if not self.is_sent(link, lane):
                return effects
            if lane is Lane.OUTPUTS:
                effects += self.send_files(link, now)
                if not self.files_are_sent(link):
                    break
                effects += self.send_logs(link, now)
        return effects

    def is_due(self, asked: float | None, now: float) -> bool:
        return asked is None or now - asked >= self.rules.resend

    def is_sent(self, link: Link, lane: Lane) -> bool:
        way = link.lanes.get(lane)
        return (way.sent if way else self.book.have(lane)) >= self.book.last(lane)

    def send(self, link: Link, lane: Lane, now: float) -> list[Effect]:
        have = self.book.have(lane)
        way = link.lanes.setdefault(lane, Way(have, now))
        if way.sent > have and now - way.since >= self.rules.resend:
            way.sent, way.since = have, now  # nothing came back: all of it again
        room = self.rules.window - (way.sent - have)
        if room <= 0 or way.sent >= self.book.last(lane):
            return []
        if way.sent == have:
            way.since = now
        found = dict(self.book.items(lane, way.sent, room))
        upto = min(way.sent + room, self.book.last(lane))
        numbers = range(way.sent + 1, upto + 1)
        way.sent = upto
        return [Say(Item(lane, seq, found.get(seq, GONE))) for seq in numbers]

    # Files, one after the other: they are sent before logs, so none may take more than its turn.

    def waiting_files(self) -> Iterator[tuple[Job, Left]]:
        """Of attempts whose result has been told, since what comes with it says what they are."""
        have = self.book.have(Lane.RESULTS)
        for job in self.book.jobs.values():
            if job.result is not None and job.result <= have:
                files = self.book.files.get(job.attempt, ())
                yield from ((job, each) for each in files if not is_stored(each))

    def files_are_sent(self, link: Link) -> bool:
        return not link.takes_files or all(
            (way := link.files.get(file_name(job.attempt, each.number))) is not None
            and way.sent >= each.size
            for job, each in self.waiting_files()
        )

    def send_files(self, link: Link, now: float) -> list[Effect]:
        if not link.takes_files:
            return []
        for job, each in self.waiting_files():
            effects = self.send_file(link, job, each, now)
            if effects or link.files[file_name(job.attempt, each.number)].sent < each.size:
                return effects
        return []

    def send_file(self, link: Link, job: Job, file: Left, now: float) -> list[Effect]:
        way = link.files.setdefault(file_name(job.attempt, file.number), Way(file.stored, now))
        if way.sent > file.stored and now - way.since >= self.rules.resend:
            way.sent, way.since = file.stored, now
        effects = list[Effect]()
        upto = min(file.size, max(0, file.stored) + self.rules.piece * self.rules.pieces)
        while way.sent < upto:  # an empty one is told of, too
            if way.sent == file.stored:
                way.since = now
            offset = max(0, way.sent)
            piece = min(self.rules.piece, file.size - offset)
            effects.append(SendFile(job.attempt, file, offset, piece))
            way.sent = offset + piece
        return effects

    def filed(self, files: Mapping[str, object], now: float) -> None:
        for name, offset in files.items():
            attempt, _, number = name.rpartition("#")
            for each in self.book.files.get(attempt, ()):
                if str(each.number) == number and isinstance(offset, int):
                    self.put_file(attempt, replace(each, stored=min(offset, each.size)))
                    way = self.link.files.get(name) if self.link else None
                    if way is not None:
                        way.since = now
                        way.sent = max(way.sent, offset) if offset > each.stored else offset

    def put_file(self, attempt: str, file: Left) -> None:
        files = self.book.files[attempt]
        changed = tuple(file if each.number == file.number else each for each in files)
        if changed != files:
            self.book.put_files(attempt, changed)

    def gone(self, attempt: str, number: int) -> list[Effect]:
        """A file that is not there any more keeps nobody waiting."""
        for each in self.book.files.get(attempt, ()):
            if each.number == number:
                self.put_file(attempt, replace(each, stored=each.size))
        return self.finish()

    def logs_are_sent(self, link: Link) -> bool:
        return all(
            (link.logs[job.attempt].sent if job.attempt in link.logs else job.stored)
            >= self.size(job)
            for job in self.book.jobs.values()
        )

    def size(self, job: Job) -> int:
        return job.printed if job.printed is not None else self.sizes.get(job.attempt, 0)

    def send_logs(self, link: Link, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for job in self.book.jobs.values():
            effects += self.send_log(link, job, now)
        return effects

    def send_log(self, link: Link, job: Job, now: float) -> list[Effect]:
        way = link.logs.setdefault(job.attempt, Way(job.stored, now))
        if way.sent > job.stored and now - way.since >= self.rules.resend:
            way.sent, way.since = job.stored, now
        size, effects = self.size(job), list[Effect]()
        while way.sent < size and way.sent - job.stored < self.rules.piece * self.rules.pieces:
            if way.sent == job.stored:
                way.since = now
            piece = min(self.rules.piece, size - way.sent)
            last = job.printed is not None and way.sent + piece == size
            effects.append(SendLog(job.attempt, way.sent, piece, last))
            way.sent += piece
        return effects


def is_stored(file: Left) -> bool:
    return file.stored >= file.size


def ends_alone(job: Job) -> bool:
    return job.offer.on_lost == "stop"


GONE: Body = Missing("it was given up for want of room")


def takes_slot(job: Job) -> bool:
    """A whole run does nothing itself: its tasks do."""
    return job.phase is not Phase.ENDED and "process" not in job.offer.invocation


def unbegun(attempt: str, ending: str, error: str, at: float) -> Ended:
    return Ended(attempt, ending, at, error=error, counted=False)


def is_delivered(job: Job, have: int) -> bool:
    return (
        job.result is not None
        and job.result <= have
        and job.printed is not None
        and job.stored >= job.printed
    )


__all__ = ["Agent", "FromServer", "Profile", "Rules"]
