"""What an agent keeps, so that it goes on after a crash as if nothing had happened.

A change is on disk when `commit` has returned, and only then may anything be said or begun because
of it. Whoever carries a `Book` on a disk keeps this order; here it is all in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edge.messages import NUMBERED, Body, Lane, Offer, Phase, Verb


@dataclass(frozen=True, slots=True)
class Job:
    """An attempt from its acceptance until the server has its result and its log."""

    offer: Offer
    phase: Phase
    command: int = 0  # the latest one that counts
    wanted: Verb | None = None
    result: int | None = None  # the number of its result in the outbox
    printed: int | None = None  # bytes of its log, once it has ended
    stored: int = 0  # bytes of it that the server has

    @property
    def attempt(self) -> str:
        return self.offer.attempt


@dataclass(frozen=True, slots=True)
class Left:
    """A file that an attempt left, until the server has it."""

    number: int
    name: str
    size: int
    digest: str
    place: str  # where it lies
    kind: str | None = None
    stored: int = -1  # bytes of it that the server has; it has not even heard of it


@dataclass(frozen=True, slots=True)
class Shut:
    """Whether new work is taken, and since which command."""

    draining: bool = False
    why: str = ""
    command: int = 0


class Book(Protocol):
    @property
    def lineage(self) -> str: ...
    @property
    def shut(self) -> Shut: ...
    @property
    def jobs(self) -> Mapping[str, Job]: ...
    def next_greeting(self) -> int: ...
    def put_job(self, job: Job) -> None: ...
    def drop_job(self, attempt: str) -> None:
        """And its files."""

    @property
    def files(self) -> Mapping[str, tuple[Left, ...]]: ...
    def put_files(self, attempt: str, files: tuple[Left, ...]) -> None: ...
    def put_shut(self, shut: Shut) -> None: ...
    def add(self, lane: Lane, body: Body) -> int:
        """The number that it has in its lane."""

    def items(self, lane: Lane, after: int, most: int) -> Iterator[tuple[int, Body]]: ...
    def last(self, lane: Lane) -> int: ...
    def have(self, lane: Lane) -> int:
        """Up to here the server has it."""

    def put_have(self, lane: Lane, seq: int) -> None: ...
    def forget(self, lane: Lane, upto: int) -> None:
        """Nothing can bring the server to ask for these again."""


@dataclass
class MemoryBook:
    """A book without a disk: a copy stands for what is on one."""

    lineage: str
    shut: Shut = Shut()
    greeting: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    lanes: dict[Lane, dict[int, Body]] = field(
        default_factory=lambda: {lane: {} for lane in NUMBERED}
    )
    lasts: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(NUMBERED, 0))
    haves: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(NUMBERED, 0))
    files: dict[str, tuple[Left, ...]] = field(default_factory=dict)

    def next_greeting(self) -> int:
        self.greeting += 1
        return self.greeting

    def put_job(self, job: Job) -> None:
        self.jobs[job.attempt] = job

    def drop_job(self, attempt: str) -> None:
        del self.jobs[attempt]
        self.files.pop(attempt, None)

    def put_files(self, attempt: str, files: tuple[Left, ...]) -> None:
        self.files[attempt] = files

    def put_shut(self, shut: Shut) -> None:
        self.shut = shut

    def add(self, lane: Lane, body: Body) -> int:
        self.lasts[lane] += 1
        self.lanes[lane][self.lasts[lane]] = body
        return self.lasts[lane]

    def items(self, lane: Lane, after: int, most: int) -> Iterator[tuple[int, Body]]:
        upto = min(after + most, self.lasts[lane])
        found = ((seq, self.lanes[lane].get(seq)) for seq in range(after + 1, upto + 1))
        return ((seq, body) for seq, body in found if body is not None)

    def last(self, lane: Lane) -> int:
        return self.lasts[lane]

    def have(self, lane: Lane) -> int:
        return self.haves[lane]

    def put_have(self, lane: Lane, seq: int) -> None:
        self.haves[lane] = seq

    def forget(self, lane: Lane, upto: int) -> None:
        for seq in [each for each in self.lanes[lane] if each <= upto]:
            del self.lanes[lane][seq]

    def copy(self) -> "MemoryBook":
        """The values in it are never changed, so the tables are enough."""
        lanes = {lane: dict(each) for lane, each in self.lanes.items()}
        tables = (dict(self.jobs), lanes, dict(self.lasts), dict(self.haves), dict(self.files))
        return MemoryBook(self.lineage, self.shut, self.greeting, *tables)
