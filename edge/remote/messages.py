"""What a remote worker and a server say to each other: plain values.

An *attempt* is named by the task's id and a number that rises with every claim and is never given
twice: it is the fence. A *call* is what a workflow does or asks for; its number, `seq`, rises by
one in the order in which the code makes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from edge.reading import Length, Shaped, Within

OLDEST, NEWEST = 1, 1  # the versions of the protocol that this code speaks

MOST_SLOTS = 1_000

Json: TypeAlias = Mapping[str, Any]
Attempt = Annotated[
    str,
    Shaped(
        r"[1-9][0-9]{0,17}\.[1-9][0-9]{0,8}",
        "an attempt is TASK.NUMBER, two whole numbers, as it was offered",
    ),
]
ServedName = Annotated[
    str,
    Shaped(
        r"[a-z0-9][a-z0-9._-]{0,62}",
        "a name is 1 to 63 of a-z, 0-9, '.', '-' and '_', and begins with a letter or digit",
    ),
]
WorkerName = Annotated[
    str,
    Shaped(r"[!-~]([ -~]{0,98}[!-~])?", "a worker's name is 1 to 100 printable ASCII characters"),
]
Short = Annotated[str, Length(0, 200)]
Words = Annotated[str, Length(0, 2_000)]
Key = Annotated[str, Length(1, 200)]


class Ending(StrEnum):
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"


class Verb(StrEnum):
    STOP = "stop"
    KILL = "kill"
    HOLD = "hold"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Error:
    type: Short
    message: Words
    trace: Annotated[str, Length(0, 16_000)] | None = None


# What a worker says.


@dataclass(frozen=True, slots=True)
class Program:
    """A workflow that the worker carries out, as it is to be published."""

    definition: Json
    version: Short | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """Begins a connection. `running` is all that the worker has in hand."""

    oldest: int
    newest: int
    name: WorkerName
    slots: Annotated[int, Within(1, MOST_SLOTS)]
    actions: tuple[ServedName, ...]
    workflows: tuple[Program, ...]
    running: tuple[Attempt, ...]
    sdk: Short
    host: Short | None = None
    pid: Annotated[int, Within(0, 2**31 - 1)] | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    running: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    attempt: Attempt
    ending: Ending
    output: Any = None
    error: Error | None = None
    retryable: bool | None = None  # if it failed: unless it is said otherwise, it is
    lost: bool | None = None  # if it was stopped: nobody knows how far it came


@dataclass(frozen=True, slots=True)
class Back:
    """Nothing of it has begun."""

    attempt: Attempt
    why: Words | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    attempt: Attempt
    percent: Annotated[float, Within(0, 100)] | None = None
    message: Words | None = None
    data: Json | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """What the handler prints; `offset` counts bytes of UTF-8."""

    attempt: Attempt
    offset: Annotated[int, Within(0, 2**50)]
    text: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Offers are wanted no more."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing is in hand any more, and the session is over."""


# What a server says.


@dataclass(frozen=True, slots=True)
class Welcome:
    protocol: int
    beat: float  # seconds between two leases
    lease: float  # seconds of silence after which the worker is gone
    clock: float
    poll: float
    server: str
    forget: tuple[Attempt, ...] = ()  # named by hello, and not its own any more


@dataclass(frozen=True, slots=True)
class Offer:
    attempt: Attempt
    action: str
    payload: Any
    run: str
    task: str
    type_name: str
    number: int  # which attempt this is
    key: str  # the same for every attempt of the task in its round
    timeout: float | None = None
    workflow: Json | None = None
    grace: float | None = None  # seconds from a stop until it is waited for no more


@dataclass(frozen=True, slots=True)
class Command:
    attempt: Attempt
    verb: Verb
    reason: str


@dataclass(frozen=True, slots=True)
class Have:
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Bye:
    why: str
    fenced: bool


# Of workflows.


class CallKind(StrEnum):
    """What a program does itself."""

    STEP = "step"
    MOMENT = "moment"
    PATCH = "patch"
    SEND = "send"
    SET = "set"
    WRITE = "write"


Seq = Annotated[int, Within(1, 2**31 - 1)]


@dataclass(frozen=True, slots=True)
class KnownCall:
    seq: Seq
    kind: str
    name: str
    order: int | None = None  # None: it is not over
    ok: bool | None = None
    output: Any = None
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class DoneCall:
    seq: Seq
    kind: CallKind
    name: Short
    ok: bool
    output: Any = None
    error: Error | None = None
    input: Any = None
    tries: Annotated[int, Within(0, 2**31 - 1)] | None = None
    began: float | None = None
    over: float | None = None
    effect: Json | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    seq: Seq
    order: int


@dataclass(frozen=True, slots=True)
class History:
    attempt: Attempt
    calls: tuple[KnownCall, ...]


@dataclass(frozen=True, slots=True)
class Record:
    attempt: Attempt
    calls: tuple[DoneCall, ...]


@dataclass(frozen=True, slots=True)
class Call:
    attempt: Attempt
    seq: Seq
    name: Short
    task: Json


@dataclass(frozen=True, slots=True)
class GiveUp:
    attempt: Attempt
    seq: Seq


@dataclass(frozen=True, slots=True)
class Recorded:
    attempt: Attempt
    calls: tuple[Ordered, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    attempt: Attempt
    seq: Seq
    order: int
    ok: bool
    output: Any = None
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class Park:
    attempt: Attempt
    seqs: tuple[Seq, ...]


@dataclass(frozen=True, slots=True)
class Parked:
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Diverged:
    attempt: Attempt
    seq: Seq
    expected: Words
    found: Words


OfWorkflow: TypeAlias = Record | Call | GiveUp | Park | Diverged
FromWorker: TypeAlias = (
    Hello
    | Lease
    | Ended
    | Back
    | Progress
    | Log
    | Drain
    | Leave
    | Record
    | Call
    | GiveUp
    | Park
    | Diverged
)
FromServer: TypeAlias = (
    Welcome | Offer | Command | Have | Forget | Bye | History | Recorded | Resolved | Parked
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What travels at once."""

    session: str
    messages: tuple[Any, ...]
