"""What goes in and out. What goes in knows its keys and refuses others."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, computed_field

from scheduler.domain.differences import Kind
from scheduler.domain.states import AttemptState, Reason, RunState, TaskState

Name = Annotated[str, Field(min_length=1, max_length=63, examples=["two-task-process"])]
RecordId = Annotated[str, Field(min_length=1, max_length=200, examples=["nightly"])]
Priority = Annotated[int, Field(ge=0, le=9, description="9 is the most urgent.", examples=[4])]
Note = Annotated[str, Field(max_length=2000, examples=["the press is being serviced"])]
Input = Annotated[
    dict[str, Any],
    Field(description="Checked by the input schema of the type.", examples=[{"day": "2026-01-31"}]),
]
Labels = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=63)],
        Annotated[str, Field(max_length=200)],
    ],
    Field(max_length=32, examples=[{"team": "reports"}]),
]
Vars = Annotated[
    dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]{0,62}$")], Any],
    Field(
        max_length=100,
        description="Read as `vars.NAME`, before those of the type and of the system.",
        examples=[{"folder": "/srv/reports"}],
    ),
]
LabelChanges = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=63)],
        Annotated[str, Field(max_length=200)] | None,
    ],
    Field(max_length=32, examples=[{"team": "reports", "urgent": None}]),
]
Time = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class Inward(BaseModel):
    """Takes what its schema says: no number for a flag, no flag for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Outward(BaseModel):
    """Made from rows of the database, whose columns may be called otherwise."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


def state(description: str) -> Any:
    return Field(validation_alias="state", description=description)


class Run(Outward):
    """One carrying-out of a process type."""

    id: UUID
    type: str
    version: int = Field(validation_alias="type_version", description="Of the type.")
    record: str | None = Field(validation_alias="record_id")
    status: RunState = state("COMPLETED, FAILED and STOPPED are final.")
    round: int = Field(description="Rises with each retry.")
    priority: int
    input: dict[str, Any]
    output: Any = None
    error: str | None
    labels: dict[str, str]
    tasks: int = Field(validation_alias="total", description="How many it has.")
    tasks_open: int = Field(validation_alias="open", description="How many are not final.")
    tasks_failed: int = Field(validation_alias="failed")
    triggered_by: str
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    due_at: Time | None = Field(description="When its timeout ends it.")
    parent: UUID | None = Field(
        default=None, validation_alias="parent_run", description="The run that started it."
    )
    depth: int = Field(default=0, description="How many runs are above it.")
    forked_from: UUID | None = Field(
        default=None, description="The run whose workflow it began with."
    )
    compensated: Literal["yes", "partly", "no"] | None = Field(
        default=None, description="Whether what it did was undone."
    )


class TaskProgress(Outward):
    """What an attempt says about itself."""

    attempt: int
    progress: float | None = Field(default=None, description="From 0 to 1.")
    text: str | None = Field(default=None, description="What is being done.")
    status: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class Placement(Outward):
    """Which workstation carries a task out, and what follows when that is out of sight."""

    on: dict[str, Any] = Field(description="`workstation` and a name, `labels`, or `any`.")
    taken: str | None = Field(default=None, description="Who took it, where several might have.")
    sticky: bool = Field(description="Whether tasks of the run go to the same one.")
    start_before: Time | None = Field(description="When it is too late to begin it.")
    on_disconnect: Literal["keep", "stop"]
    lost_after: float = Field(description="Seconds without a word, after which it is lost.")
    replace: bool = Field(description="Whether another takes what was lost.")
    reconcile: Literal["keep_original", "keep_replacement", "ask"]
    refused: dict[str, str] = Field(default_factory=dict, description="By whom, and why.")


class Task(Outward):
    """One step of a run."""

    position: int
    name: str
    kind: str
    status: TaskState = state("WAITING always has a reason.")
    reason: Reason | None
    blocked_on: str | None = Field(description="The limit that is full, or what it waits for.")
    due_at: Time | None
    queue: str
    priority: int
    role: Literal["task", "item", "undo", "hook", "call"] = "task"
    of: int | None = Field(
        default=None, description="Of an item, an undo or a call: of which position."
    )
    item: dict[str, Any] | None = Field(
        default=None, description="Its value, index and key; of a call what was asked for."
    )
    order: int | None = Field(
        default=None,
        validation_alias="call_order",
        description="Of a call: where its result stands among those of its workflow.",
    )
    iteration: int = Field(default=0, description="How often it was repeated.")
    needed: int = Field(description="Successes still missing before it may begin.")
    attempt: int = Field(description="The number of the latest attempt; 0 before the first.")
    retries_used: int = Field(validation_alias="counted", description="Attempts that counted.")
    on_lost: str
    placement: Placement | None = Field(
        default=None, description="Null where a worker of its queue carries it out."
    )
    wanted: str | None = Field(description="What somebody wants: stop, kill, freeze or thaw.")
    invocation: dict[str, Any] | None = Field(description="The rendered command.")
    exit_code: int | None
    output: Any
    error: str | None
    progress: TaskProgress | None = Field(description="Of the latest attempt.")
    started_at: Time | None
    finished_at: Time | None


class Attempt(Outward):
    """One claim of a task. Its number rises and is never used again."""

    number: int
    round: int
    status: AttemptState = state("LOST means that nobody knows how it ended.")
    counted: bool = Field(description="Whether it used up a retry.")
    started_at: Time | None
    finished_at: Time | None
    exit_code: int | None
    output: Any
    error: str | None
    detail: dict[str, Any] | None = Field(description="Times, signal, usage, dropped bytes.")


class Event(Outward):
    """One line of a run's history, numbered without gaps."""

    seq: int
    at: Time
    kind: str = Field(examples=["task.completed"])
    task: str | None = Field(default=None, description="The name of the task that it is about.")
    attempt: int | None
    data: dict[str, Any] | None


class Record(Outward):
    """A saved, startable process. It shows the state of its latest run."""

    id: str
    type: str
    description: str
    input: dict[str, Any]
    vars: dict[str, Any]
    priority: int | None
    version: int = Field(description="Rises with each edit.")
    current_run: UUID | None
    current_status: RunState
    current_task_index: int
    total_tasks: int
    started_when: Time | None
    completed_when: Time | None
    failed_when: Time | None
    stopped_when: Time | None
    last_error_message: str | None
    triggered_by: str | None
    created_at: Time
    updated_at: Time


class Why(BaseModel):
    """What keeps a run, the nearest causes first."""

    run: UUID
    status: RunState
    reasons: list[str] = Field(examples=[["load is READY: no worker serves queue big"]])


class StartRun(Inward):
    type: Name
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="The newest one if left out."
    )
    input: Input = Field(default_factory=dict)
    priority: Priority | None = None
    labels: Labels = Field(default_factory=dict)


class StartRecord(Inward):
    input: Input | None = Field(default=None, description="Laid over the input of the record.")


class Hold(Inward):
    freeze: bool = Field(
        default=False, description="Commands in hand stand still too, and so do their timeouts."
    )


class Stop(Inward):
    kill: bool = Field(default=False, description="At once, without the grace of the commands.")
    why: Note | None = None
    undo: bool = Field(default=False, description="Undo what was done before the run ends.")


class SkipTask(Inward):
    why: Annotated[Note, Field(min_length=1, description="Kept in the history.")]


class CompleteTask(SkipTask):
    output: Any = Field(default=None, description="What those that need the task read.")


class Retry(Inward):
    """From what failed, unless `task` or `whole` says otherwise."""

    task: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="From this task on.", examples=["load"]
    )
    whole: bool = Field(default=False, description="Every task again.")
    input: Input | None = Field(default=None, description="What is run again sees this one.")


class ChangeRun(Inward):
    """What is left out stays as it is."""

    priority: Priority | None = Field(
        default=None, description="It reaches everything of the run that is not finished."
    )
    labels: LabelChanges | None = Field(
        default=None, description="Laid over those it has; null takes one away."
    )
    replace_labels: bool = Field(
        default=False, description="Take away every label that `labels` does not name."
    )


class CreateRecord(Inward):
    id: RecordId
    type: Name
    input: Input = Field(default_factory=dict)
    vars: Vars = Field(default_factory=dict)
    description: Annotated[str, Field(max_length=2000)] = ""
    priority: Priority | None = None


class ReplaceRecord(Inward):
    type: Name
    input: Input
    vars: Vars = Field(default_factory=dict)
    description: Annotated[str, Field(max_length=2000)] = ""
    priority: Priority | None = None


class ChangeRecord(Inward):
    """What is left out stays as it is."""

    type: Name = Field(default_factory=str)
    input: Input = Field(default_factory=dict, description="The whole of it.")
    changes: Input | None = Field(default=None, description="Laid over the input that it has.")
    vars: Vars = Field(default_factory=dict)
    description: Annotated[str, Field(max_length=2000)] = Field(default_factory=str)
    priority: Priority | None = Field(default=None, description="Null for that of the type.")


class TypeSummary(Outward):
    """A process type and its newest version."""

    name: str
    version: int
    description: str = ""
    tasks: list[str] = Field(description="Names, in the order of the definition.")
    published_at: Time
    published_by: str
    retired_at: Time | None = Field(description="Nothing of it is started since.")


class TypeDetail(Outward):
    """One version of a process type. Its definition never changes."""

    name: str
    version: int
    latest: int
    digest: str = Field(description="SHA-256 of the definition.")
    definition: dict[str, Any] = Field(validation_alias="document")
    published_at: Time
    published_by: str
    retired_at: Time | None = Field(description="Of the type: nothing of it is started since.")
    retired_by: str | None
    retired_note: str | None


class RetireType(Inward):
    note: Note | None = Field(default=None, description="Told to whoever tries to start it.")


class TypeChange(BaseModel):
    """One place in which two versions differ."""

    path: str = Field(description="Tasks by their names.", examples=["tasks[load].timeout"])
    kind: Kind
    before: Any = Field(description="Null if it was added; its place if it was moved.")
    after: Any = Field(description="Null if it was removed; its place if it was moved.")


class TypeDiff(BaseModel):
    """What one version of a process type says otherwise than another."""

    name: str
    before: int = Field(description="The version that was compared.", examples=[1])
    after: int = Field(description="The version that it was compared with.", examples=[3])
    changes: list[TypeChange]
    text: str | None = Field(
        description="The same as a unified diff of their YAML; null where that is longer than "
        "5,000 lines."
    )


class Published(BaseModel):
    name: str
    version: int
    changed: bool = Field(description="False if this content was the newest version already.")


class PublishedAll(BaseModel):
    items: list[Published]


class DefinitionFault(BaseModel):
    line: int | None
    column: int | None
    message: str = Field(examples=["tasks[2].retries.max: 'three' is no whole number"])


class Validation(BaseModel):
    """What publishing this text would say."""

    valid: bool
    names: list[str] = Field(description="The process types that were found.")
    faults: list[DefinitionFault]


class DeadLetter(Outward):
    """A task that gave up, until somebody decides."""

    id: int
    run: UUID = Field(validation_alias="run_id")
    type: str
    task: str
    round: int
    status: str = Field(validation_alias="state", examples=["OPEN"])
    error: str
    fingerprint: str = Field(description="The same for errors that differ only in details.")
    input: dict[str, Any]
    output: Any
    made_at: Time
    closed_at: Time | None
    closed_by: str | None
    note: str | None


class DeadLetterGroup(Outward):
    """Open dead letters of one task with the same kind of error."""

    fingerprint: str
    type: str
    task: str
    error: str = Field(description="One of them.")
    letters: int
    first_at: Time
    last_at: Time


class Groups(BaseModel):
    items: list[DeadLetterGroup]


class Queue(Outward):
    name: str
    paused_at: Time | None
    note: str | None
    size: int | None = Field(description="How many tasks at once over all workers.")
    ready: int
    in_hand: int
    limited: int = Field(description="Waiting for a place under a limit.")


class Queues(BaseModel):
    items: list[Queue]


class PauseQueue(Inward):
    note: Note | None = None


class QueueSize(Inward):
    size: Annotated[int, Field(ge=1, le=10_000)] | None = Field(description="Null lifts it.")


class Taken(BaseModel):
    """A start that is in memory, and will be stored with others. Nothing is promised of it."""

    status: Literal["ACCEPTED"] = "ACCEPTED"
    waiting: int = Field(description="Starts that wait to be stored, with this one.", examples=[1])


class Worker(Outward):
    """Somebody who holds tasks: a worker and its runner, a workstation, or a remote worker."""

    id: int
    name: str
    kind: str
    host: str
    pid: int
    version: str
    queues: list[str]
    slots: int
    in_hand: int
    status: str = Field(validation_alias="state", examples=["ACTIVE"])
    started_at: Time
    renewed_at: Time
    lease_until: Time
    sdk: str | None = Field(default=None, description="Of a remote worker, as it says.")
    carrier: str | None = Field(default=None, examples=["stream"])

    @computed_field(description="That a remote worker serves.")  # type: ignore[prop-decorator]
    @property
    def actions(self) -> list[str]:
        return served(self.queues, "action:")

    @computed_field(description="That a remote worker carries out.")  # type: ignore[prop-decorator]
    @property
    def workflows(self) -> list[str]:
        return served(self.queues, "workflow:")


def served(queues: list[str], mark: str) -> list[str]:
    return [each.removeprefix(mark) for each in queues if each.startswith(mark)]


class Workers(BaseModel):
    items: list[Worker]


class Live(BaseModel):
    status: str = Field(examples=["UP"])


class Component(BaseModel):
    status: str = Field(examples=["UP"])
    detail: str | None = None


class Health(BaseModel):
    status: str = Field(examples=["UP"])
    components: dict[str, Component]
