"""What workers and servers say to each other: docs/worker-protocol.md as types.

A field without a default has to be there; one that may be missing may be null as well. What a value
has to be is said with its type, and `wire` checks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from procession.values import (
    Attempt,
    Name,
    Natural,
    Number,
    Offset,
    Percent,
    Seq,
    Served,
    Session,
    Short,
    Slots,
    Small,
    Text,
    Trace,
    Words,
)

OLDEST, NEWEST = 1, 1  # versions of the protocol that are spoken here

Ending = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"]
Verb = Literal["stop", "kill", "hold", "resume"]
DoneKind = Literal["step", "moment", "patch", "send", "set", "write"]
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Error:
    type: Short
    message: Words
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A workflow that a worker serves: its definition, and the version of its code."""

    definition: Object
    version: Short | None = None


# What a worker says.


@dataclass(frozen=True, slots=True)
class Hello:
    oldest: Natural
    newest: Natural
    name: Name
    slots: Slots
    actions: tuple[Served, ...]
    workflows: tuple[Published, ...]
    running: tuple[Attempt, ...]
    sdk: Short
    host: Short | None = None
    pid: Small | None = None


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
    lost: bool | None = None


@dataclass(frozen=True, slots=True)
class Back:
    attempt: Attempt
    why: Words | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    attempt: Attempt
    percent: Percent | None = None
    message: Words | None = None
    data: Object | None = None


@dataclass(frozen=True, slots=True)
class Log:
    attempt: Attempt
    offset: Offset
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

    seq: Seq
    kind: DoneKind
    name: Short
    ok: bool
    output: Any = None
    error: Error | None = None
    input: Any = None
    tries: Small | None = None
    began: Number | None = None
    over: Number | None = None
    effect: Object | None = None


@dataclass(frozen=True, slots=True)
class Record:
    attempt: Attempt
    calls: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class Call:
    attempt: Attempt
    seq: Seq
    name: Short
    task: Object


@dataclass(frozen=True, slots=True)
class GiveUp:
    attempt: Attempt
    seq: Seq


@dataclass(frozen=True, slots=True)
class Park:
    attempt: Attempt
    seqs: tuple[Seq, ...]


@dataclass(frozen=True, slots=True)
class Diverged:
    attempt: Attempt
    seq: Seq
    expected: Words
    found: Words


# What a server says.


@dataclass(frozen=True, slots=True)
class Welcome:
    protocol: Natural
    beat: Number
    lease: Number
    clock: Number
    poll: Number
    server: Text
    forget: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    attempt: Attempt
    action: Text
    payload: Any
    run: Text
    task: Text
    type_name: Text
    number: Natural
    key: Text
    timeout: Number | None = None
    workflow: Object | None = None
    grace: Number | None = None


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

    seq: Seq
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
    seq: Seq
    order: Natural


@dataclass(frozen=True, slots=True)
class Recorded:
    attempt: Attempt
    calls: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    attempt: Attempt
    seq: Seq
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
    session: Session
    messages: tuple[Message, ...] = ()
