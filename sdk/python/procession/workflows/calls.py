"""What a workflow has done and what it wants, as values."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# What the program does itself. Everything else is a call that the server sees to.
OWN = frozenset({"step", "moment", "patch", "send", "set", "write"})
STOP = "stop"


@dataclass(frozen=True, slots=True)
class Fault:
    type: str
    message: str
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: an output, or a fault."""

    output: Any = None
    fault: Fault | None = None

    @property
    def ok(self) -> bool:
        return self.fault is None


@dataclass(frozen=True, slots=True)
class Known:
    """A call that the server has kept. One without `order` is not over."""

    seq: int
    kind: str
    name: str
    order: int | None = None
    outcome: Outcome = Outcome()


@dataclass(frozen=True, slots=True)
class Done:
    """Something that the program has done itself, to be kept."""

    seq: int
    kind: str
    name: str
    outcome: Outcome
    input: Any = None
    tries: int | None = None
    began: float | None = None
    over: float | None = None
    effect: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A step as it is to be carried out: by whom is not the engine's business."""

    step: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    input: Any = None


# What the engine wants done.


@dataclass(frozen=True, slots=True)
class Begin:
    """Carry out this step and say what it came to."""

    seq: int
    name: str
    work: Work


@dataclass(frozen=True, slots=True)
class Drop:
    """Nobody waits for this step any more."""

    seq: int


@dataclass(frozen=True, slots=True)
class Record:
    done: Done


@dataclass(frozen=True, slots=True)
class Ask:
    """The server is to see to this."""

    seq: int
    name: str
    task: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GiveUp:
    seq: int


@dataclass(frozen=True, slots=True)
class Ended:
    ending: str
    output: Any = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Diverged:
    """The code does something else than it did."""

    seq: int
    expected: str
    found: str


Intent = Begin | Drop | Record | Ask | GiveUp | Ended | Diverged


@dataclass(frozen=True, slots=True)
class Told:
    """What the program is told about itself. `key` is the same for all attempts of its task."""

    run: str = ""
    key: str = ""
    attempt: str = ""
    proof: str | None = None
    now: Callable[[], float] = time.time
    seed: Callable[[], int] = lambda: secrets.randbits(62)
    progress: Callable[[float | None, str | None, Mapping[str, Any] | None], None] = (
        lambda percent, message, data: None
    )
