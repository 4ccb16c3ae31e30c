"""What workers and servers say to each other: docs/worker-protocol.md as types.

A field without a default has to be there; one that may be missing may be null as well. What a value
has to be is said with its type, and `wire` checks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from procession.values import (
    Attempt,
    Message200,
    Message2000,
    Message16000,
    Moment,
    Name,
    Natural,
    Percent,
    Positive,
    Seconds,
    Slots,
    Text,
)

OLDEST, NEWEST = 1, 1  # versions of the protocol that are spoken here

Ending = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"]
Verb = Literal["stop", "kill", "hold", "resume"]
DoneKind = Literal["step", "moment", "patch", "send", "set", "write"]
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Error:
    type: Message200
    message: Message2000
    trace: Message16000 | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A workflow that a worker serves: its definition, and the version of its code."""

    definition: Object
    version: Text | None = None


# What a worker says.


@dataclass(frozen=True, slots=True)
class Hello:
    oldest: Natural
    newest: Natural
    name: Name
    slots: Slots
    actions: tuple[Text, ...]
    workflows: tuple[Published, ...]
    running: tuple[Attempt, ...]
    sdk: Text
    host: Text | None = None
    pid: Natural | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    running: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    attempt: Attempt
    ending: Ending
    output: Any = None
    error: Error | None = None
    retryable: bool | None = None


@dataclass(frozen=True, slots=True)
class Back:
    attempt: Attempt
    why: Text | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    attempt: Attempt
    percent: Percent | None = None
    message: Text | None = None
    data: Object | None = None


@dataclass(frozen=True, slots=True)
class Log:
    attempt: Attempt
    offset: Natural
    text: Text


@dataclass(frozen=True, slots=True)
class Drain:
    pass


@dataclass(frozen=True, slots=True)
class Leave:
    pass


@dataclass(frozen=True, slots=True)
class Done:
    """A call that the program has carried out itself."""

    seq: Natural
    kind: DoneKind
    name: Text
    ok: bool
    output: Any = None
    error: Error | None = None
    input: Any = None
    tries: Positive | None = None
    began: Moment | None = None
    over: Moment | None = None
    effect: Object | None = None


@dataclass(frozen=True, slots=True)
class Record:
    attempt: Attempt
    calls: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class Call:
    attempt: Attempt
    seq: Natural
    name: Text
    task: Object


@dataclass(frozen=True, slots=True)
class GiveUp:
    attempt: Attempt
    seq: Natural


@dataclass(frozen=True, slots=True)
class Park:
    attempt: Attempt
    seqs: tuple[Natural, ...]


@dataclass(frozen=True, slots=True)
class Diverged:
    attempt: Attempt
    seq: Natural
    expected: Text
    found: Text


# What a server says.


@dataclass(frozen=True, slots=True)
class Welcome:
    protocol: Positive
    beat: Seconds
    lease: Seconds
    clock: Moment
    poll: Seconds
    server: Text
    forget: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """What an offer of a workflow says of it: so many calls are known."""

    calls: Natural
    proof: Text | None = None
    version: Text | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    attempt: Attempt
    action: Text
    payload: Any
    run: Text
    task: Text
    type_name: Text
    number: Positive
    key: Text
    timeout: Seconds | None = None
    workflow: Flow | None = None


@dataclass(frozen=True, slots=True)
class Command:
    attempt: Attempt
    verb: Verb
    reason: Text


@dataclass(frozen=True, slots=True)
class Have:
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Bye:
    why: Text
    fenced: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A call of an earlier attempt; without `order` it is not over."""

    seq: Natural
    kind: Text
    name: Text
    order: Natural | None = None
    ok: bool | None = None
    output: Any = None
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class History:
    attempt: Attempt
    calls: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    seq: Natural
    order: Natural


@dataclass(frozen=True, slots=True)
class Recorded:
    attempt: Attempt
    calls: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    attempt: Attempt
    seq: Natural
    order: Natural
    ok: bool
    output: Any = None
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    attempt: Attempt


FromWorker = (
    Hello | Lease | Ended | Back | Progress | Log | Drain | Leave
    | Record | Call | GiveUp | Park | Diverged
)  # fmt: skip
FromServer = (
    Welcome | Offer | Command | Have | Forget | Bye | History | Recorded | Resolved | Parked
)
Message = FromWorker | FromServer
# What the server says of a workflow in hand, and what is said of it.
FlowHeard = History | Recorded | Resolved | Parked
FlowSaid = Record | Call | GiveUp | Park | Diverged


@dataclass(frozen=True, slots=True)
class Frame:
    session: str
    messages: tuple[Message, ...] = ()
