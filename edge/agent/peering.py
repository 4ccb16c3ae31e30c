"""What workstations say to each other, and what each keeps of it.

One asks another to carry out a run: an *order*. The run has its id from the one that asks, so it is
the same run however often it is asked for: after a cut, after a crash of either, it is asked for
again, and what has become of it comes back. It begins once.

Before an order is said for the first time, the one that asks writes down to which book it says it.
If that book is another one later, the disk was lost with what it knew, and the run is lost: nobody
begins it anew. What is over is remembered for `KEPT`; of what is older than what is remembered,
nobody can say that it was not here, so it does not begin.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from edge.messages import Json, Verb
from edge.words import Words

KEPT = 30 * 86_400.0  # seconds
FINAL = frozenset({Verb.STOP, Verb.KILL})
STEERING = frozenset({Verb.HOLD, Verb.RESUME, Verb.STOP, Verb.KILL})

# Endings that are no run's own.
REFUSED, EXPIRED, LOST, STOPPED = "REFUSED", "EXPIRED", "LOST", "STOPPED"


class Wait(StrEnum):
    """Why an order is not taken now, though it may be later."""

    GRANT = "grant"
    DRAINING = "draining"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Order:
    """A run that another workstation is to carry out."""

    run: str
    type: str
    input: Json = field(default_factory=dict)
    by: str = ""
    parent: Json = field(default_factory=dict)  # the attempt of a run that asks for it
    start_before: float | None = None
    version: int | None = None
    labels: Json = field(default_factory=dict)


# What the one that asks says.


@dataclass(frozen=True, slots=True)
class Ask:
    """Carry it out, or say what became of it. Asked for twice, it is the same run."""

    order: Order
    lineage: str  # of the book that it was first said to
    wish: int = 0
    wanted: Verb | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of it from now on; a later one has a higher number."""

    run: str
    number: int
    verb: Verb


@dataclass(frozen=True, slots=True)
class Thanks:
    """The result is written down here: it may be forgotten there."""

    run: str


# What the one that is asked says.


@dataclass(frozen=True, slots=True)
class Taken:
    """It is written down, and goes on whatever happens to the line."""

    run: str


@dataclass(frozen=True, slots=True)
class Later:
    run: str
    wait: Wait
    why: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Wishes up to this number are written down."""

    run: str
    number: int


@dataclass(frozen=True, slots=True)
class News:
    """How far it is. Of two, the one with the higher number counts."""

    run: str
    number: int
    news: Json


@dataclass(frozen=True, slots=True)
class Over:
    """What became of it. Said again until somebody has thanked for it."""

    run: str
    ending: str
    at: float
    began: bool = True
    output: Any = None
    error: str | None = None
    detail: Json = field(default_factory=dict)


FromAsker: TypeAlias = Ask | Wish | Thanks
FromTaker: TypeAlias = Taken | Later | Noted | News | Over
Said: TypeAlias = FromAsker | FromTaker
WORDS = Words((Ask, Wish, Thanks, Taken, Later, Noted, News, Over))


# What is kept.


@dataclass(frozen=True, slots=True)
class Asked:
    """An order that was given to a peer, until its result is where it belongs."""

    order: Order
    peer: str
    lineage: str = ""  # of the peer's book, once it has been said
    taken: bool = False
    wish: int = 0
    noted: int = 0
    wanted: Verb | None = None
    result: Over | None = None

    @property
    def run(self) -> str:
        return self.order.run


@dataclass(frozen=True, slots=True)
class Given:
    """An order of a peer, until it has the result."""

    order: Order
    station: str
    begun: bool = False  # the engine has it
    wish: int = 0
    wanted: Verb | None = None
    result: Over | None = None

    @property
    def run(self) -> str:
        return self.order.run


class PeerBook(Protocol):
    """A change is on disk when `commit` has returned, and nothing is said because of it before."""

    @property
    def lineage(self) -> str: ...
    @property
    def horizon(self) -> float:
        """What was asked for before may have been forgotten."""

    @property
    def asked(self) -> Mapping[str, Asked]: ...
    @property
    def given(self) -> Mapping[str, Given]: ...
    def put_asked(self, asked: Asked) -> None: ...
    def drop_asked(self, run: str) -> None: ...
    def put_given(self, given: Given) -> None: ...
    def drop_given(self, run: str) -> None:
        """It is over: what is left of it is that it was here."""

    def is_over(self, run: str) -> bool: ...
    def forget_over(self, before: float) -> None:
        """What was asked for before this time, and is over."""


@dataclass
class MemoryPeerBook:
    """A book without a disk: a copy stands for what is on one."""

    lineage: str
    asked: dict[str, Asked] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    horizon: float = 0.0

    def put_asked(self, asked: Asked) -> None:
        self.asked[asked.run] = asked

    def drop_asked(self, run: str) -> None:
        del self.asked[run]

    def put_given(self, given: Given) -> None:
        self.given[given.run] = given

    def drop_given(self, run: str) -> None:
        del self.given[run]
        self.over.add(run)

    def is_over(self, run: str) -> bool:
        return run in self.over

    def forget_over(self, before: float) -> None:
        self.horizon = max(self.horizon, before)
        self.over = {run for run in self.over if asked_at(run) >= self.horizon}

    def copy(self) -> "MemoryPeerBook":
        tables = (dict(self.asked), dict(self.given), set(self.over))
        return MemoryPeerBook(self.lineage, *tables, self.horizon)


def is_run(text: str) -> bool:
    """A UUID of version 7 as it is written: one text for each."""
    try:
        run = UUID(text)
    except ValueError:
        return False
    return run.version == 7 and str(run) == text


def asked_at(run: str) -> float:
    """When the id was made."""
    return (UUID(run).int >> 80) / 1000


def allows(types: Iterable[str], name: str) -> bool:
    return any(each in ("*", name) for each in types)
