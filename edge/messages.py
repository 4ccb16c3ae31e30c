"""What a workstation and a server say to each other: plain values.

An *attempt* is named by a text that both know it by: the task's id and the attempt's number, which
rises with every claim and is never given twice. It is the fence: what is said of a number that is
not the task's any more changes nothing.

What must arrive lies in the outbox until the server has it: an *item* has a lane and a number that
rises by one within it, so the server takes each exactly once and answers with the last it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

OLDEST, NEWEST = 1, 1  # the versions of the protocol that this code speaks

Json: TypeAlias = Mapping[str, Any]


class Lane(IntEnum):
    """What is sent first. Something of a lane is sent only when those before it are empty."""

    RESULTS = 0  # how attempts ended, what became of commands
    EVENTS = 1  # what began, what happened
    OUTPUTS = 2
    LOGS = 3  # by offset, not by number
    METRICS = 4


NUMBERED = (Lane.RESULTS, Lane.EVENTS, Lane.OUTPUTS, Lane.METRICS)


class Phase(StrEnum):
    """How far the agent has come with an attempt."""

    ACCEPTED = "accepted"  # written down; nothing has begun
    STARTING = "starting"  # may begin; whether it did, the runner knows
    RUNNING = "running"
    ENDED = "ended"


class Verdict(StrEnum):
    """What the server says of an attempt that the agent knows."""

    START = "start"
    CONTINUE = "continue"
    STOP = "stop"  # it is not the agent's any more, or not wanted
    FORGET = "forget"  # nothing of it has begun, and nothing shall


class Verb(StrEnum):
    """What is wanted of an attempt, or of the whole workstation."""

    HOLD = "hold"
    RESUME = "resume"
    STOP = "stop"
    KILL = "kill"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    # Of runs alone that the workstation decides about.
    RETRY = "retry"
    SKIP = "skip"
    DONE = "done"
    UNDO = "undo"
    ANSWER = "answer"


# What an agent can be asked for beside the first six. An older one knows nothing of it.
DOES = ("answer", "done", "freeze", "retry", "skip", "undo")


class Refusal(StrEnum):
    """Why an offer is not taken."""

    BUSY = "busy"
    DRAINING = "draining"
    POLICY = "policy"  # of the machine's owner
    EXPIRED = "expired"
    UNABLE = "unable"


# What the agent says.


@dataclass(frozen=True, slots=True)
class Known:
    """An attempt that the agent knows of when it says hello."""

    attempt: str
    phase: Phase
    stored: int = 0  # bytes of its log that the agent believes the server to have


@dataclass(frozen=True, slots=True)
class Hello:
    """Begins a session. What the agent has in hand is all of it: what is missing, it has not."""

    greeting: int  # rises with each hello, so that an older one, come late, begins nothing
    oldest: int
    newest: int
    lineage: str  # of the agent's book: with another one, numbers begin anew
    slots: int
    clock: float
    version: str = ""
    draining: bool = False
    labels: Json = field(default_factory=dict)
    facts: Json = field(default_factory=dict)
    policy: Json = field(default_factory=dict)
    last: tuple[int, ...] = ()  # of each lane the highest number there is
    known: tuple[Known, ...] = ()
    does: tuple[str, ...] = ()  # of `DOES`


@dataclass(frozen=True, slots=True)
class Accept:
    attempt: str


@dataclass(frozen=True, slots=True)
class Reject:
    attempt: str
    refusal: Refusal
    why: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The agent lives, and these are in its hand."""

    running: tuple[str, ...]
    free: int  # slots
    clock: float


@dataclass(frozen=True, slots=True)
class Began:
    attempt: str
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    attempt: str
    ending: str
    at: float
    exit_code: int | None = None
    error: str | None = None
    printed: int = 0  # bytes of its log, kept and dropped
    counted: bool = True  # one that never began uses up no retry
    retryable: bool = True
    output: Any = None
    detail: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a command."""

    command: int
    attempt: str | None
    applied: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """What a running command told of itself."""

    attempt: str
    kind: str
    value: Json


@dataclass(frozen=True, slots=True)
class Metrics:
    at: float
    values: Json


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands where something was given up, for want of room or because it was too old."""

    why: str


@dataclass(frozen=True, slots=True)
class RunTold:
    """How a run stands that the workstation itself decides about, and what has changed in it.

    Each text is a row as JSON. What is long comes in several of these, with the same revision;
    they are said in the order in which things happened, so the last one counts.
    """

    run: str
    revision: int
    at: float
    row: str
    tasks: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()  # to people


@dataclass(frozen=True, slots=True)
class Happened:
    """An event that a run there brought about, or that somebody told the workstation of."""

    source: str
    event: str
    kind: str
    key: str
    data: str  # JSON
    at: float


@dataclass(frozen=True, slots=True)
class Ticked:
    """What became of ticks of a schedule that is placed there."""

    schedule: int
    row: str  # JSON
    ticks: tuple[str, ...] = ()


Body: TypeAlias = Began | Ended | Done | Output | Metrics | Missing | RunTold | Happened | Ticked


@dataclass(frozen=True, slots=True)
class Item:
    lane: Lane
    seq: int
    body: Body


@dataclass(frozen=True, slots=True)
class Log:
    """Bytes of what an attempt printed. `last`: the log ends with them.

    Of a flood the middle is not kept: `gap` bytes behind these were printed, and are nowhere.
    """

    attempt: str
    offset: int
    data: bytes
    crc: int
    last: bool = False
    stream: int = 1  # 1: standard output; 2: standard error
    gap: int = 0


@dataclass(frozen=True, slots=True)
class File:
    """Bytes of a file that an attempt left, and with each part of it all that is known of it."""

    attempt: str
    number: int  # among the files of this attempt
    name: str
    size: int
    digest: str  # SHA-256 of the whole, in hexadecimal
    offset: int
    data: bytes
    crc: int
    kind: str | None = None  # such as text/csv


@dataclass(frozen=True, slots=True)
class Stocked:
    """It has all of this revision, and nothing else."""

    revision: str


# What the server says.


@dataclass(frozen=True, slots=True)
class Answer:
    attempt: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Welcome:
    """Of each attempt that the agent named, a verdict; of each lane, the last number it has."""

    greeting: int
    session: int  # rises with each hello; what is said in an older one counts no more
    protocol: int
    clock: float
    answers: tuple[Answer, ...]
    have: tuple[int, ...]  # by lane
    safe: tuple[int, ...]  # up to here nothing can be lost any more, whatever is restored
    beat: float = 15.0  # seconds between two leases
    poll: float = 5.0
    spread: float = 1.0  # seconds over which all of them may come back after a cut
    files: bool = False  # whether files are taken here
    unfit: str = ""  # why nothing new is given to this agent


@dataclass(frozen=True, slots=True)
class Offer:
    attempt: str
    invocation: Json
    start_before: float | None = None  # the agent's clock is put right by what hello showed
    on_lost: str = "wait"


@dataclass(frozen=True, slots=True)
class Start:
    attempt: str


@dataclass(frozen=True, slots=True)
class Forget:
    attempt: str


@dataclass(frozen=True, slots=True)
class Have:
    """What the server has: of each lane the last number, of logs the next byte that is wanted."""

    lanes: tuple[int, ...]
    safe: tuple[int, ...]
    logs: Json = field(default_factory=dict)
    clock: float = 0.0
    files: Json = field(default_factory=dict)  # by `file_name`, as of logs
    spread: float = 0.0  # as in `Welcome`, since others come and go; 0: nothing is said of it


@dataclass(frozen=True, slots=True)
class Command:
    """What is wanted from now on; repeated until the agent has said what became of it."""

    id: int
    verb: Verb
    attempt: str | None = None  # None: the whole workstation
    reason: str = ""
    grace: float | None = None
    data: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stock:
    """What the workstation is to have when it is alone, all of it. Each text is JSON.

    It is said again until the workstation has answered `Stocked`.
    """

    revision: str
    types: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    labels: Json = field(default_factory=dict)  # people's, over what it says of itself
    callers: Json | None = None  # who may start what here, by name: key and types; None: not said
    retired: tuple[str, ...] = ()  # types that nothing is started of any more
    peers: str = ""  # another text whenever it may call others, or others elsewhere, than before
    at: float = 0.0  # when this was so, by the server's clock


@dataclass(frozen=True, slots=True)
class Bye:
    why: str
    fenced: bool = False  # another session of the same identity is newer


FromAgent: TypeAlias = Hello | Accept | Reject | Lease | Item | Log | File | Stocked | Bye
FromServer: TypeAlias = Welcome | Offer | Start | Forget | Have | Command | Stock | Bye
Message: TypeAlias = FromAgent | FromServer


@dataclass(frozen=True, slots=True)
class Frame:
    """What travels at once. A session's number is 0 until the server has given one."""

    session: int
    messages: tuple[Message, ...]


def file_name(attempt: str, number: int) -> str:
    """How the server speaks of a file."""
    return f"{attempt}#{number}"
