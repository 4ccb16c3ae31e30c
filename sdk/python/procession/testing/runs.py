"""A run in the memory of a test: what it was given, what it has done, what it came to."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from procession.workflows.calls import Begin, Done, Fault, Known
from procession.workflows.defining import Workflow
from procession.workflows.faults import raised_again
from procession.workflows.program import Program

OVER = frozenset({"SUCCEEDED", "FAILED", "STOPPED", "DIVERGED"})


class RunFailed(Exception):
    """What a run failed with, where its type is not known here."""


class Diverged(Exception):
    """The code did something else than it had done."""

    def __init__(self, seq: int, expected: str, found: str) -> None:
        super().__init__(
            f"call {seq}: the code had done {expected}, and now does {found}. What a workflow does "
            "may depend on its input, on results and on now(), random() and uuid4() alone"
        )
        self.seq, self.expected, self.found = seq, expected, found


class Unanswered(Exception):
    """Nobody said what a task is to come to."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place where a program may be killed: before or after something it did is kept."""

    run: str
    seq: int
    kind: str
    name: str
    side: Literal["before", "after"]


@dataclass(slots=True)
class Run:
    """One run: what it was given, what it has done, what it came to."""

    id: str
    workflow: Workflow[Any, Any]
    input: Mapping[str, Any]
    seed: int
    status: str = "RUNNING"
    output: Any = None
    fault: Fault | None = None
    diverged: Diverged | None = None
    known: dict[int, Known] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    mail: dict[str, deque[Any]] = field(default_factory=dict)
    keys: set[tuple[str, str | None]] = field(default_factory=set)
    shown: dict[str, list[Any]] = field(default_factory=dict)
    streams: dict[str, list[Any]] = field(default_factory=dict)
    progress: list[tuple[float | None, str | None]] = field(default_factory=list)
    replays: int = 0
    order: int = 0
    is_held: bool = False
    stop_reason: str | None = None
    asked: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    # The program that carries it out, while there is one; else whether there is a reason for one.
    program: Program | None = None
    wakes: bool = True
    begun: deque[Begin] = field(default_factory=deque)

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @property
    def steps(self) -> list[str]:
        """The names of all steps that are kept, in the order in which they were."""
        return [done.name for done in self.done if done.kind == "step"]

    def result(self) -> Any:
        """What the workflow gave, or raised."""
        if self.diverged is not None:
            raise self.diverged
        if self.fault is not None:
            raise raised_again(self.fault)
        if not self.is_over:
            raise RunFailed(f"{self.id} is not over: it waits for {self._waits()}")
        return self.workflow.read(self.output)

    def _waits(self) -> str:
        return ", ".join(f"{call.name}" for call in self.known.values() if call.order is None)
