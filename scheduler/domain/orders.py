"""What a decision about a run asks of the world around it; carried out in the same transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from scheduler.domain.definitions import OnConflict
from scheduler.domain.tasks import Task

ChildVerb = Literal["hold", "resume", "stop", "kill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChild:
    task: Task
    type: str
    version: int | None
    input: Mapping[str, Any]
    labels: Mapping[str, str]
    wait: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TellChildren:
    task: Task
    verb: ChildVerb


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitEvent:
    task: Task
    event: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitEvent:
    task: Task
    event: str
    key: str
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AskApproval:
    task: Task
    attempt: int
    message: str
    who: tuple[str, ...]
    form: Mapping[str, Any] | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseApproval:
    """Nobody needs to decide any more."""

    task: Task
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterGroup:
    """The run needs a place in its group before anything of it begins."""

    run_id: UUID
    key: str
    size: int
    on_conflict: OnConflict


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavePlace:
    """What goes together in a run, and has not begun, may go together elsewhere."""

    run_id: UUID
    selector: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeMessage:
    """A call waits for a message: one may be there already."""

    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquire:
    """A call waits for what another run tells, or for its end."""

    task: Task
    about: UUID
    kind: Literal["value", "end"]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewind:
    """A workflow is done again; `keeps`: what it did up to where it failed is not."""

    task: Task
    keeps: bool


Order = (
    StartChild
    | TellChildren
    | AwaitEvent
    | EmitEvent
    | AskApproval
    | CloseApproval
    | EnterGroup
    | LeavePlace
    | TakeMessage
    | Inquire
    | Rewind
)
