"""What the server decides when a workstation speaks.

No database: it is given what the rows say, and answers what shall become of them and what to say.
Whoever calls it commits the changes first, in one transaction with the lock of the workstation's
row, and speaks then; if nothing could be committed, nothing is said.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from edge.messages import (
    NEWEST,
    OLDEST,
    Accept,
    Answer,
    Began,
    Bye,
    Command,
    Done,
    Ended,
    File,
    Forget,
    Frame,
    FromServer,
    Happened,
    Have,
    Hello,
    Item,
    Known,
    Lane,
    Lease,
    Log,
    Message,
    Metrics,
    Missing,
    Output,
    Phase,
    Refusal,
    Reject,
    RunTold,
    Start,
    Stock,
    Stocked,
    Ticked,
    Verdict,
    Welcome,
    file_name,
)

NOTHING = (0,) * len(Lane)
MOST_FILES, FILES_CAP = 100, 16 << 20  # of one attempt: how many, and bytes together
LONGEST_NAME = 200
DIGEST = re.compile(r"[0-9a-f]{64}")
LONGEST_LOG = 1 << 50  # what is dropped counts, but nobody prints as much


class Stage(StrEnum):
    OFFERED = "offered"  # claimed for it; its word is awaited
    RUNNING = "running"  # it has accepted, so it may run
    OVER = "over"  # recorded, taken back or lost


@dataclass(frozen=True, slots=True)
class Hand:
    """An attempt that the workstation has, or had."""

    attempt: str
    stage: Stage
    since: float = 0.0  # when it was offered
    logged: int = 0  # bytes of its log that are stored
    filed: int = 0  # bytes of its files


@dataclass(frozen=True, slots=True)
class Station:
    """What the rows say of one workstation. `hands` has what it holds and what it speaks of."""

    session: int = 0
    greeting: int = 0
    opened: float = 0.0  # when the connection of this session was opened, by the server's clock
    lineage: str = ""
    retired: frozenset[str] = frozenset()  # books that another one has taken the place of
    have: tuple[int, ...] = NOTHING
    safe: tuple[int, ...] = NOTHING
    hands: Mapping[str, Hand] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()  # whose fate is not known
    doubts: Mapping[str, int] = field(default_factory=dict)  # lost, unless results up to here tell
    files: Mapping[str, int] = field(default_factory=dict)  # by `file_name`: bytes that are stored
    stock: Stock | None = None  # what it is to have, and has not said that it has


# What shall become of the rows.


@dataclass(frozen=True, slots=True)
class Greeted:
    session: int
    hello: Hello
    opened: float


@dataclass(frozen=True, slots=True)
class Renewed:
    running: tuple[str, ...]
    free: int
    clock: float


@dataclass(frozen=True, slots=True)
class Accepted:
    attempt: str


@dataclass(frozen=True, slots=True)
class HandedBack:
    """Nothing of it has begun; it uses up no retry."""

    attempt: str
    why: str
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    ended: Ended


@dataclass(frozen=True, slots=True)
class Orphaned:
    """A result of what is not the workstation's any more: kept for people to see."""

    ended: Ended


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows what became of it."""

    attempt: str
    why: str


@dataclass(frozen=True, slots=True)
class Noted:
    body: Began | Output | Metrics | Missing | RunTold | Happened | Ticked


@dataclass(frozen=True, slots=True)
class Commanded:
    done: Done


@dataclass(frozen=True, slots=True)
class Taken:
    """Up to this number everything of the lane has been taken in."""

    lane: Lane
    seq: int


@dataclass(frozen=True, slots=True)
class Logged:
    attempt: str
    offset: int
    data: bytes
    last: bool
    stream: int = 1


@dataclass(frozen=True, slots=True)
class Filed:
    """The next bytes of a file; the last of them where `is_whole`."""

    file: File
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """It has what it is to have when it is alone, as of this revision."""

    revision: str


@dataclass(frozen=True, slots=True)
class Doubted:
    doubts: Mapping[str, int]


Change: TypeAlias = (
    Greeted
    | Renewed
    | Accepted
    | HandedBack
    | Recorded
    | Orphaned
    | Lost
    | Noted
    | Commanded
    | Taken
    | Logged
    | Filed
    | Doubted
    | Kept
)


class Desk:
    """Takes what one workstation says in one go. `changes` and `answers` are what comes of it."""

    def __init__(self, station: Station, clock: float) -> None:
        self.clock = clock
        self.station = station
        self.hands = dict(station.hands)
        self.have = list(station.have)
        self.doubts = dict(station.doubts)
        self.files = dict(station.files)
        self.changes: list[Change] = []
        self.answers: list[FromServer] = []

    # A session.

    def hear(
        self,
        frame: Frame,
        *,
        opened: float | None = None,
        beat: float = 15.0,
        poll: float = 5.0,
        unfit: str = "",
    ) -> int:
        """The session that what is answered belongs to. `opened`: when its connection was."""
        first = frame.messages[0] if frame.messages else None
        if isinstance(first, Hello):
            return self.greet(first, opened=opened, beat=beat, poll=poll, unfit=unfit)
        if frame.session != self.station.session:
            self.answers.append(Bye("a newer session has begun", fenced=True))
            return frame.session
        self.take(frame.messages)
        return frame.session

    def greet(
        self,
        hello: Hello,
        *,
        opened: float | None = None,
        beat: float = 15.0,
        poll: float = 5.0,
        unfit: str = "",
    ) -> int:
        """The new session's number; 0 where none has begun."""
        opened = self.clock if opened is None else opened
        if opened < self.station.opened:
            self.answers.append(Bye("a connection that was opened later has been greeted on"))
            return 0
        if hello.lineage == self.station.lineage and hello.greeting <= self.station.greeting:
            self.answers.append(Bye("this hello is an old one", fenced=True))
            return 0
        if hello.lineage in self.station.retired:
            self.answers.append(Bye("another book has taken the place of this one", fenced=True))
            return 0
        protocol = min(hello.newest, NEWEST)
        if protocol < max(hello.oldest, OLDEST):
            said = f"this server speaks versions {OLDEST} to {NEWEST}"
            self.answers.append(Bye(f"{said}, the agent {hello.oldest} to {hello.newest}"))
            return 0
        session = self.station.session + 1
        self.changes.append(Greeted(session, hello, opened))
        if hello.lineage != self.station.lineage:
            self.have = list(NOTHING)
        answers = tuple(Answer(each.attempt, self.judge(each)) for each in hello.known)
        self.look_for_missing(hello)
        self.answers.append(
            Welcome(
                greeting=hello.greeting,
                session=session,
                protocol=protocol,
                clock=self.clock,
                answers=answers,
                have=tuple(self.have),
                safe=self.safe(),
                beat=beat,
                poll=poll,
                files=True,
                unfit=unfit,
            )
        )
        self.answers += self.waiting()
        return session

    def waiting(self) -> Sequence[FromServer]:
        """What is said until something is heard of it."""
        stock = [self.station.stock] if self.station.stock else []
        return [*self.station.commands, *stock]

    def safe(self) -> tuple[int, ...]:
        return tuple(min(a, b) for a, b in zip(self.station.safe, self.have, strict=True))

    def judge(self, known: Known) -> Verdict:
        hand = self.hands.get(known.attempt)
        has_begun = known.phase in (Phase.RUNNING, Phase.ENDED)
        if hand is None or hand.stage is Stage.OVER:
            if known.phase is Phase.ENDED:
                return Verdict.CONTINUE  # its result comes, and is kept
            return Verdict.STOP if has_begun else Verdict.FORGET
        if hand.stage is Stage.OFFERED:
            self.move(Accepted(known.attempt), Stage.RUNNING)
        return Verdict.CONTINUE if has_begun else Verdict.START

    def look_for_missing(self, hello: Hello) -> None:
        """What it does not name has not begun, or is lost unless its result is yet to come."""
        named = {each.attempt for each in hello.known}
        upto = hello.last[Lane.RESULTS] if len(hello.last) > Lane.RESULTS else 0
        self.doubts = {}
        for hand in list(self.hands.values()):
            if hand.attempt in named or hand.stage is Stage.OVER:
                continue
            if hand.stage is Stage.OFFERED:
                self.move(HandedBack(hand.attempt, "it was not accepted"), Stage.OVER)
            else:
                self.doubts[hand.attempt] = upto
        self.settle_doubts()

    def settle_doubts(self) -> None:
        if not self.doubts and not self.station.doubts:
            return
        for attempt, upto in list(self.doubts.items()):
            if self.have[Lane.RESULTS] >= upto or self.is_over(attempt):
                del self.doubts[attempt]
                if not self.is_over(attempt):
                    why = "the workstation does not know it any more"
                    self.move(Lost(attempt, why), Stage.OVER)
        self.changes.append(Doubted(dict(self.doubts)))

    def is_over(self, attempt: str) -> bool:
        hand = self.hands.get(attempt)
        return hand is None or hand.stage is Stage.OVER

    def move(self, change: Accepted | HandedBack | Recorded | Lost, stage: Stage) -> None:
        attempt = change.ended.attempt if isinstance(change, Recorded) else change.attempt
        self.hands[attempt] = replace(self.hands[attempt], stage=stage)
        self.changes.append(change)

    # What is said within it.

    def take(self, messages: Iterable[Message]) -> None:
        has_sent, logs, files = False, dict[str, int](), dict[str, int]()
        for message in messages:
            match message:
                case Accept(attempt):
                    self.accepted(attempt)
                case Reject(attempt, refusal, why):
                    self.rejected(attempt, refusal, why)
                case Lease(running, free, clock):
                    self.changes.append(Renewed(running, free, clock))
                    self.answers += self.waiting()
                    has_sent = True
                case Stocked(revision):
                    self.changes.append(Kept(revision))
                case Item():
                    self.item(message)
                    has_sent = True
                case Log():
                    logs[message.attempt] = self.log(message)
                    has_sent = True
                case File(attempt, number):
                    files[file_name(attempt, number)] = self.file(message)
                    has_sent = True
        if has_sent:
            self.answers.append(Have(tuple(self.have), self.safe(), logs, self.clock, files))

    def accepted(self, attempt: str) -> None:
        hand = self.hands.get(attempt)
        if hand is None or hand.stage is Stage.OVER:
            self.answers.append(Forget(attempt))
            return
        if hand.stage is Stage.OFFERED:
            self.move(Accepted(attempt), Stage.RUNNING)
        self.answers.append(Start(attempt))

    def rejected(self, attempt: str, refusal: Refusal, why: str) -> None:
        hand = self.hands.get(attempt)
        if hand is not None and hand.stage is Stage.OFFERED:
            self.move(HandedBack(attempt, why, refusal), Stage.OVER)

    def item(self, item: Item) -> None:
        """In the order of their numbers, each once: the rest comes again."""
        if item.lane is Lane.LOGS or item.seq != self.have[item.lane] + 1:
            return
        self.have[item.lane] = item.seq
        self.changes.append(Taken(item.lane, item.seq))
        match item.body:
            case Ended():
                self.ended(item.body)
            case Done():
                self.changes.append(Commanded(item.body))
            case body:
                self.changes.append(Noted(body))
        if item.lane is Lane.RESULTS:
            self.settle_doubts()

    def ended(self, ended: Ended) -> None:
        if self.is_over(ended.attempt):
            self.changes.append(Orphaned(ended))
        else:
            self.move(Recorded(ended), Stage.OVER)

    def log(self, log: Log) -> int:
        """The next byte that is wanted."""
        hand, size = self.hands.get(log.attempt), len(log.data) + log.gap
        if hand is None:
            return log.offset + size  # nobody knows what it belongs to
        if log.offset != hand.logged or zlib.crc32(log.data) != log.crc:
            return hand.logged
        logged = hand.logged + size
        if logged > LONGEST_LOG:
            return hand.logged
        self.hands[log.attempt] = replace(hand, logged=logged)
        self.changes.append(Logged(log.attempt, log.offset, log.data, log.last, log.stream))
        return logged

    def file(self, file: File) -> int:
        """The next byte that is wanted. Of what is nobody's, or too much, nothing more is."""
        hand, name = self.hands.get(file.attempt), file_name(file.attempt, file.number)
        stored = self.files.get(name, 0)
        if hand is None or file.number >= MOST_FILES or not is_named(file):
            return file.size
        if file.offset != stored or zlib.crc32(file.data) != file.crc:
            return stored
        stored += len(file.data)
        filed = hand.filed + len(file.data)
        if filed > FILES_CAP or stored > file.size or (not file.data and file.size):
            return file.size
        self.files[name] = stored
        self.hands[file.attempt] = replace(hand, filed=filed)
        self.changes.append(Filed(file, stored == file.size))
        return stored


def is_named(file: File) -> bool:
    name, is_digest = file.name, DIGEST.fullmatch(file.digest) is not None
    return is_digest and 0 < len(name) <= LONGEST_NAME and name.isprintable()


def overdue(hands: Iterable[Hand], now: float, patience: float) -> Sequence[HandedBack]:
    """Offers that nobody answered."""
    return [
        HandedBack(hand.attempt, f"the workstation did not answer within {patience:.0f} s")
        for hand in hands
        if hand.stage is Stage.OFFERED and now - hand.since >= patience
    ]
