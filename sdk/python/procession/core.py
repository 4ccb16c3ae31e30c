"""What a worker decides: a session from its first hello to its leave. No socket, clock or task.

Frames of the server go in and events come out, for whoever carries out what is offered; what is to
be said comes out as texts. A connection may break at any moment: what counts is said again with the
next hello.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from procession import wire
from procession.messages import (
    NEWEST,
    OLDEST,
    Back,
    Bye,
    Command,
    Diverged,
    Drain,
    Ended,
    FlowHeard,
    FlowSaid,
    Forget,
    Frame,
    Have,
    Hello,
    History,
    Lease,
    Leave,
    Log,
    Offer,
    Parked,
    Progress,
    Published,
    Recorded,
    Resolved,
    Welcome,
)
from procession.printed import Printed
from procession.telling import untellable

NOBODY = "00000000-0000-0000-0000-000000000000"  # whose frame the server could not yet tell


@dataclass(frozen=True, slots=True)
class Serving:
    """What a worker is, as it says with each hello."""

    name: str
    slots: int
    actions: tuple[str, ...]
    workflows: tuple[Published, ...] = ()
    sdk: str = ""
    host: str | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """An attempt is in hand from now on."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Ordered:
    """Something is wanted of an attempt in hand."""

    command: Command


@dataclass(frozen=True, slots=True)
class Gone:
    """These are not ours any more: whatever they do stops, and nothing is said of them."""

    attempts: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Heard:
    """Of a workflow in hand. After `Parked` it is not in hand any more."""

    message: FlowHeard


@dataclass(frozen=True, slots=True)
class Met:
    """The server knows this session: what was said on an earlier connection and not
    acknowledged may have been lost on the way."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The server ends it. If `fenced`, what was in hand is others' now; a new session begins."""

    why: str
    fenced: bool


Event = Begin | Ordered | Gone | Heard | Met | Dismissed


def a_session() -> str:
    return str(uuid.uuid4())


@dataclass
class Core:
    serving: Serving
    new_session: Callable[[], str] = a_session
    session: str = ""
    in_hand: dict[str, Offer] = field(default_factory=dict)
    # Ends as they were said, until the server has them.
    untold: dict[str, str] = field(default_factory=dict)
    ordered: dict[str, str] = field(default_factory=dict)
    printed: Printed = field(default_factory=Printed)
    progress: dict[str, str] = field(default_factory=dict)  # the newest, while nobody hears it
    waiting: list[str] = field(default_factory=list)
    is_connected: bool = False
    is_draining: bool = False
    has_left: bool = False
    refusals: int = 0  # frames that the server could not read, since it last acknowledged something

    def __post_init__(self) -> None:
        self.session = self.session or self.new_session()

    @property
    def running(self) -> tuple[str, ...]:
        """All that the server counts as ours: in hand, or ended and not acknowledged."""
        return (*self.in_hand, *self.untold)

    # Connections

    def connected(self) -> None:
        """Behind the hello comes what may have been lost, and then all ends that nobody has
        acknowledged."""
        self.is_connected = True
        self.waiting = [wire.encode(self.hello())]
        if self.is_draining:
            self.waiting.append(wire.encode(Drain()))
        self.waiting += [*self.printed.again(), *self.progress.values(), *self.untold.values()]
        self.progress.clear()

    def hello(self) -> Hello:
        serving = self.serving
        return Hello(
            oldest=OLDEST,
            newest=NEWEST,
            name=serving.name,
            slots=serving.slots,
            actions=serving.actions,
            workflows=serving.workflows,
            running=self.running,
            sdk=serving.sdk,
            host=serving.host,
            pid=serving.pid,
        )

    def disconnected(self) -> None:
        """What was not sent is lost, but for what the next hello says again."""
        self.is_connected = False
        self.waiting = []

    def take(self) -> list[str]:
        """What is to be said now, as frames."""
        if not self.waiting or not self.is_connected:
            return []
        said, self.waiting = self.waiting, []
        return list(wire.pack(self.session, said))

    def nothing(self) -> str:
        """A frame that says nothing, for whoever only asks."""
        return wire.framed(self.session, ())

    # What the worker says

    def beat(self) -> None:
        if not self.has_left:
            self.say(wire.encode(Lease(self.running)))

    def end(self, ended: Ended) -> None:
        """It counts once it was acknowledged. Of what is not in hand nothing is said."""
        if self.in_hand.pop(ended.attempt, None) is None:
            return
        self.ordered.pop(ended.attempt, None)
        text = wire.encode(ended)
        self.untold[ended.attempt] = text
        self.say(text)

    def hand_back(self, attempt: str, why: str) -> None:
        """Nothing of it has begun. If this is lost on the way the next lease says the same."""
        if self.drop(attempt):
            self.say(wire.encode(Back(attempt, why)))

    def tell(self, message: Progress | Log | FlowSaid) -> None:
        """Said if it is still ours. What a workflow says is lost with a connection: it says it
        again after `Met`."""
        if message.attempt not in self.in_hand:
            return
        text = wire.encode(message)
        if isinstance(message, Log):
            self.printed.keep(message.attempt, text)
        elif isinstance(message, Progress) and not self.is_connected:
            self.progress[message.attempt] = text
        self.say(text)
        if isinstance(message, Diverged):
            self.drop(message.attempt)

    def say(self, text: str) -> None:
        if self.is_connected:
            self.waiting.append(text)

    @property
    def is_done(self) -> bool:
        """It has left, and has said so."""
        return self.has_left and not self.waiting

    def drain(self) -> None:
        if not self.is_draining:
            self.is_draining = True
            self.say(wire.encode(Drain()))

    def leave(self) -> None:
        self.in_hand.clear()
        self.has_left = True
        self.say(wire.encode(Leave()))

    # What the server says

    def heard(self, frame: Frame) -> list[Event]:
        """In the order in which it was said. Frames of another session say nothing to this one."""
        if frame.session not in (self.session, NOBODY):
            return []
        events: list[Event] = []
        for each in frame.messages:
            events += self.answer(each)
        return events

    def answer(self, message: object) -> Iterable[Event]:
        match message:
            case Offer():
                return self.offered(message)
            case Have():
                return self.acknowledged(message)
            case Command():
                return self.commanded(message)
            case Welcome():
                return (*self.forgotten(message.forget), Met(message))
            case Forget():
                return self.forgotten((message.attempt,))
            case History() | Recorded() | Resolved() | Parked():
                return self.of_a_workflow(message)
            case Bye():
                return self.dismissed(message)
        return ()

    def offered(self, offer: Offer) -> Iterable[Event]:
        if offer.attempt in self.in_hand or offer.attempt in self.untold:
            return ()
        if self.is_draining:
            self.say(wire.encode(Back(offer.attempt, "this worker is about to leave")))
            return ()
        self.in_hand[offer.attempt] = offer
        return (Begin(offer),)

    def acknowledged(self, have: Have) -> Iterable[Event]:
        self.refusals = 0
        for each in have.attempts:
            self.untold.pop(each, None)
            self.printed.forget(each)
        return ()

    def commanded(self, command: Command) -> Iterable[Event]:
        """Once, however often it is repeated."""
        attempt = command.attempt
        if attempt not in self.in_hand or self.ordered.get(attempt) == command.verb:
            return ()
        self.ordered[attempt] = command.verb
        return (Ordered(command),)

    def forgotten(self, attempts: Iterable[str]) -> Iterable[Event]:
        ours = tuple(each for each in attempts if self.drop(each))
        return (Gone(ours, "it is not this worker's any more"),) if ours else ()

    def drop(self, attempt: str) -> bool:
        """Whether it was in hand."""
        self.printed.forget(attempt)
        self.progress.pop(attempt, None)
        self.untold.pop(attempt, None)
        self.ordered.pop(attempt, None)
        return self.in_hand.pop(attempt, None) is not None

    def of_a_workflow(self, message: FlowHeard) -> Iterable[Event]:
        if message.attempt not in self.in_hand:
            return ()
        if isinstance(message, Parked):
            self.drop(message.attempt)
        return (Heard(message),)

    def dismissed(self, bye: Bye) -> Iterable[Event]:
        return self.fence(bye.why) if bye.fenced else (Dismissed(bye.why, fenced=False),)

    def fence(self, why: str) -> Iterable[Event]:
        """Others may do what was in hand here; this worker begins anew."""
        ours = tuple(self.in_hand)
        for each in self.running:
            self.drop(each)
        self.waiting = []
        self.session = self.new_session()
        gone = (Gone(ours, f"it was given to others: {why}"),) if ours else ()
        return (*gone, Dismissed(why, fenced=True))

    def refused(self, why: str) -> None:
        """The server could not read what it was told. What is refused again is told without what
        the program has made: it would keep all other ends from being told."""
        self.refusals += 1
        if self.refusals > 1:
            self.untold = {each: wire.encode(untellable(each, why)) for each in self.untold}

    def changed(self, serving: Serving) -> None:
        """Another thing is served from the next hello on."""
        self.serving = serving
