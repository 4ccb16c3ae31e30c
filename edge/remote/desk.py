"""What the server decides when a remote worker speaks.

No database and no clock: it is told what the rows say and what time it is, and answers what shall
become of them. Whoever calls it commits the changes first and speaks then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from edge.reading import BadFrame
from edge.remote.messages import (
    NEWEST,
    OLDEST,
    Back,
    Bye,
    Call,
    Command,
    Diverged,
    Drain,
    Ended,
    Ending,
    Forget,
    FromServer,
    GiveUp,
    Hello,
    Lease,
    Leave,
    Log,
    OfWorkflow,
    Park,
    Progress,
    Record,
    Verb,
)

MOST_LOG = 4 << 20  # bytes that are kept of what one attempt prints
VERBS: Mapping[str, tuple[Verb, str]] = {
    "stop": (Verb.STOP, "it is to stop"),
    "kill": (Verb.KILL, "it is to be over at once"),
    "freeze": (Verb.HOLD, "it is to be held"),
    "thaw": (Verb.RESUME, "it may go on"),
}


@dataclass(slots=True)
class Hand:
    """An attempt that the worker has."""

    attempt: str
    run: Any
    since: float  # when it was claimed
    kind: str = "action"
    logged: int = 0  # bytes of what it printed that are known
    is_ending: bool = False  # its end is on its way into the database
    wanted: str | None = None
    missed_at: float | None = None  # since when leases do not name it
    is_known: bool = False  # the worker has named it: it may have begun


# What shall become of the rows.


@dataclass(frozen=True, slots=True)
class Over:
    hand: Hand
    ended: Ended


@dataclass(frozen=True, slots=True)
class HandedBack:
    """Nothing of it has begun, or nobody there knows of it: it uses up no retry."""

    hand: Hand
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It may have begun, and its worker is gone without a word of its end."""

    hand: Hand


@dataclass(frozen=True, slots=True)
class Told:
    hand: Hand
    progress: Progress


@dataclass(frozen=True, slots=True)
class Printed:
    hand: Hand
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """For whoever sees to workflows."""

    hand: Hand
    message: OfWorkflow


@dataclass(frozen=True, slots=True)
class Draining:
    pass


@dataclass(frozen=True, slots=True)
class Gone:
    pass


Change: TypeAlias = Over | HandedBack | Lost | Told | Printed | Said | Draining | Gone


@dataclass(slots=True)
class Heard:
    """What comes of what was heard."""

    changes: list[Change] = field(default_factory=list)
    answers: list[FromServer] = field(default_factory=list)


class Desk:
    """What is known of one worker's hands. `beat`: seconds between two of its leases."""

    def __init__(self, beat: float, hands: Iterable[Hand] = ()) -> None:
        self.beat = beat
        self.hands = {each.attempt: each for each in hands}
        self.strange: set[str] = set()  # in the rows, and not here, when somebody last looked

    @property
    def taken(self) -> int:
        """Slots that have something in them."""
        return sum(not each.is_ending for each in self.hands.values())

    # A connection.

    def greet(self, hello: Hello) -> tuple[list[HandedBack], list[str]]:
        """What it does not name it does not have; and what it names, and is not its own."""
        named = set(hello.running)
        for each in named & self.hands.keys():
            self.hands[each].is_known = True
        back = [
            self.give_back(each, "the worker did not get it")
            for each in list(self.hands.values())
            if each.attempt not in named and not each.is_ending
        ]
        return back, [each for each in hello.running if each not in self.hands]

    def give_back(self, hand: Hand, why: str) -> HandedBack:
        del self.hands[hand.attempt]
        return HandedBack(hand, why)

    # What is said over it.

    def hear(self, messages: Iterable[Any], now: float) -> Heard:
        heard = Heard()
        for message in messages:
            match message:
                case Lease(running):
                    self.lease(running, now, heard)
                case Ended():
                    self.ended(message, heard)
                case Back(attempt, why):
                    if (hand := self.hand(attempt, heard)) is not None:
                        heard.changes.append(self.give_back(hand, why or "it was handed back"))
                case Progress(attempt):
                    if (hand := self.hand(attempt, heard)) is not None:
                        heard.changes.append(Told(hand, message))
                case Log():
                    self.log(message, heard)
                case Record() | Call() | GiveUp() | Park() | Diverged():
                    if (hand := self.hand(message.attempt, heard)) is not None:
                        heard.changes.append(Said(of_workflow(hand), message))
                case Drain():
                    heard.changes.append(Draining())
                case Leave():
                    self.leave(heard)
        return heard

    def hand(self, attempt: str, heard: Heard) -> Hand | None:
        """None for what is not its own any more, which it is told; or is over already."""
        hand = self.hands.get(attempt)
        if hand is None:
            heard.answers.append(Forget(attempt))
            return None
        hand.is_known = True
        return None if hand.is_ending else hand

    def lease(self, running: Sequence[str], now: float, heard: Heard) -> None:
        """An offer may be on its way to it for a beat; what it does not name then, it has not. A
        beat from when it was missed: a machine that slept hears what was said before the offer."""
        named = set(running)
        for hand in list(self.hands.values()):
            if hand.is_ending:
                continue
            if hand.attempt in named:
                hand.is_known, hand.missed_at = True, None
            elif hand.missed_at is None:
                hand.missed_at = now
            if hand.missed_at is not None and now - hand.missed_at > self.beat:
                heard.changes.append(self.give_back(hand, "the worker does not know it"))
            elif hand.wanted is not None:
                heard.answers.append(command(hand))
        heard.answers += [Forget(each) for each in running if each not in self.hands]

    def ended(self, ended: Ended, heard: Heard) -> None:
        if (hand := self.hand(ended.attempt, heard)) is not None:
            hand.is_ending = True
            heard.changes.append(Over(hand, ended))

    def log(self, log: Log, heard: Heard) -> None:
        """What was stored already is not stored again; what is missing in between, it dropped."""
        if (hand := self.hand(log.attempt, heard)) is None:
            return
        data = log.text.encode()
        fresh = data[max(0, hand.logged - log.offset) :]
        start = max(log.offset, hand.logged)
        room = max(0, MOST_LOG - start)
        hand.logged = start + len(fresh)
        if fresh[:room]:
            heard.changes.append(Printed(hand, start, fresh[:room]))

    def leave(self, heard: Heard) -> None:
        """What it never named it never had; of the rest it should have said how it ended."""
        for hand in [each for each in self.hands.values() if not each.is_ending]:
            if hand.is_known:
                del self.hands[hand.attempt]
                heard.changes.append(Lost(hand))
            else:
                heard.changes.append(self.give_back(hand, "the worker has left"))
        heard.changes.append(Gone())

    # What is told to it.

    def offered(self, hand: Hand) -> None:
        self.hands[hand.attempt] = hand

    def closed(self, attempt: str) -> None:
        self.hands.pop(attempt, None)

    def compare(self, rows: Sequence[Hand], looked_at: float) -> Heard:
        """With what the rows said when somebody looked. A claim may be on its way here, so what is
        not known counts when it is seen twice."""
        heard = Heard()
        theirs = {each.attempt: each for each in rows}
        for hand in list(self.hands.values()):
            if (row := theirs.get(hand.attempt)) is not None:
                self.want(hand, row.wanted, heard)
            elif hand.since < looked_at and not hand.is_ending:
                del self.hands[hand.attempt]
                heard.answers.append(Forget(hand.attempt))
        unknown = theirs.keys() - self.hands.keys()
        heard.changes += [
            HandedBack(theirs[each], "the worker did not get it")
            for each in sorted(unknown & self.strange)
        ]
        self.strange = unknown - self.strange
        return heard

    def want(self, hand: Hand, wanted: str | None, heard: Heard) -> None:
        if hand.is_ending or wanted == hand.wanted:
            return
        hand.wanted = wanted if wanted in VERBS else None
        if hand.wanted is not None:
            heard.answers.append(command(hand))


def of_workflow(hand: Hand) -> Hand:
    if hand.kind != "workflow":
        raise BadFrame(f"attempt {hand.attempt} is of no workflow: nothing is called by it")
    return hand


def command(hand: Hand) -> Command:
    assert hand.wanted is not None
    verb, reason = VERBS[hand.wanted]
    return Command(hand.attempt, verb, reason)


def stranger(hello: Hello) -> Bye | None:
    """Who speaks no version that is spoken here."""
    if hello.oldest <= NEWEST and hello.newest >= OLDEST:
        return None
    return Bye(
        f"the worker speaks versions {hello.oldest} to {hello.newest}, the server {OLDEST} to "
        f"{NEWEST}: update the older one",
        fenced=False,
    )


def was_asked_for(over: Over) -> bool:
    """One that was stopped though nobody wanted that goes to another worker, or back to this one:
    which would begin and stop it for ever, were it offered to it at once."""
    return over.ended.ending is not Ending.STOPPED or over.hand.wanted in ("stop", "kill")
