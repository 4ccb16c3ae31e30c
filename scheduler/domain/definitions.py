"""Process types and their tasks, as their authors defined them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from scheduler.domain.commands import Command
from scheduler.domain.retries import RetryPolicy

PRIORITY = 4  # 9 is most urgent
QUEUE = "default"
OUTPUT_CAP = 4 << 20
GRACE = timedelta(seconds=10)
LOST_AFTER = timedelta(hours=24)

FailureKind = Literal["stop", "stop_now", "continue", "handler"]
OnLost = Literal["retry", "fail", "wait"]
OnDisconnect = Literal["keep", "stop"]
Reconcile = Literal["keep_original", "keep_replacement", "ask"]
Kind = Literal[
    "run",
    "http",
    "python",
    "action",
    "workflow",
    "process",
    "sleep",
    "wait_for",
    "approval",
    "emit",
    "branch",
    "noop",
    "recv",
    "get",
    "result",
]
After = Literal["success", "always", "on_failure", "any_failed"]
HookName = Literal["start", "success", "failure", "stop", "exit"]
OutputForm = Literal["none", "text", "lines", "json"]
OnConflict = Literal["wait", "skip", "replace"]

# Nobody claims these: they wait for a time, an event, a person or another run.
PARKED = frozenset(
    {"process", "sleep", "wait_for", "approval", "emit", "branch", "recv", "get", "result"}
)

# What a workstation carries out because a type says it of all its tasks. A process is handed over
# whole, so the task has to say that itself.
PLACED_WITH_TYPE: frozenset[Kind] = frozenset({"run", "python"})

Data = Any  # JSON in which any text may hold expressions; one that is all there is keeps its type


@dataclass(frozen=True, slots=True)
class OnFailure:
    """What follows when a task has failed for good."""

    kind: FailureKind = "stop"
    handler: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` tasks with the same key in flight, over all runs."""

    key: str
    max: int = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `max` tasks with the same key begin within any stretch of time this long."""

    key: str
    max: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `max` runs with the same key at a time; what one more does."""

    key: str
    max: int = 1
    on_conflict: OnConflict = "wait"


@dataclass(frozen=True, slots=True)
class Join:
    """How many of its predecessors must succeed; None is all that were not skipped."""

    count: int | None = None
    stop_rest: bool = False  # what the others still do is stopped then


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEach:
    """One item of work for each element of a list, or each entry of a map."""

    items: str  # an expression that is all there is
    max_parallel: int | None = None
    min_success: int | float | None = None  # a number of items, or a share; None is all
    stop_rest: bool = False  # once it cannot succeed any more
    stations: bool = False  # the list is that of the workstations which the task asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Carried out again until the expression over its own output is true."""

    until: str
    max: int
    delay: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """After 202: ask again at the address that the answer names, until it says something else."""

    every: timedelta
    until: timedelta
    url_from: str = "location"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Data = None
    has_json: bool = False
    body: str | None = None
    expect: tuple[int, ...] = ()  # empty: 200 to 299
    retry_on: tuple[int, ...] = (408, 425, 429, 500, 502, 503, 504)
    poll: Poll | None = None
    follow_redirects: bool = False
    allow_private: bool = False
    max_response: int = 256 << 10
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCall:
    call: str  # module:function
    args: Mapping[str, Data] = field(default_factory=dict)
    interpreter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCall:
    """Done by a remote worker that serves the action."""

    action: str
    payload: Data = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCall:
    """Carried out by a program that serves the workflow."""

    workflow: str
    payload: Data = None  # None: the run's input
    hears_stop: bool = False  # also where nobody has it in hand


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCall:
    """A run of another type, or of another version of this one."""

    type: str
    version: int | None = None
    input: Mapping[str, Data] = field(default_factory=dict)
    wait: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """For a length of time, or until a moment: exactly one of them, each may be an expression."""

    length: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor:
    event: str
    key: str | None = None  # correlation
    when: str | None = None  # over `event`


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    message: str
    who: tuple[str, ...] = ()  # users, and roles written `role:NAME`; empty: every operator
    form: Mapping[str, Any] | None = None  # JSON Schema of what is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    event: str
    key: str | None = None
    data: Data = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    when: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """The first case that holds says which of those that need this task go on."""

    cases: tuple[Case, ...]
    default: tuple[str, ...] = ()


# Only workflows ask for these, in words of their own: definitions have none of them.


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """The next message that was sent to the run under this topic."""

    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetValue:
    """What another run tells under this key; waited for until it does."""

    run: UUID
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetResult:
    """What another run came to; waited for until it ends."""

    run: UUID


Work = (
    HttpCall
    | PythonCall
    | ActionCall
    | WorkflowCall
    | ChildCall
    | Sleep
    | WaitFor
    | Approval
    | Emit
    | Branch
    | Receive
    | GetValue
    | GetResult
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    cpu_seconds: int | None = None
    memory_bytes: int | None = None
    open_files: int | None = None
    processes: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """On which workstation a task is carried out, and what follows when that is out of sight."""

    workstation: str | None = None  # a name, or a text with expressions that comes to one
    labels: Mapping[str, str] = field(default_factory=dict)  # else any that has all of these
    everywhere: bool = False  # on each of those, and not on one of them
    stagger: timedelta = timedelta()
    sticky: bool = False
    on_disconnect: OnDisconnect = "keep"
    lost_after: timedelta = LOST_AFTER
    replace: bool = False
    reconcile: Reconcile = "keep_original"
    start_before: timedelta | None = None
    there: bool = False  # where that was done which this undoes
    implied: bool = field(default=False, compare=False)  # the task does not say it itself


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    name: str
    description: str = ""
    kind: Kind = "run"
    needs: tuple[str, ...] = ()  # resolved: the order of a list is made explicit
    command: Command | None = None  # of a run
    work: Work | None = None  # of every other kind but noop
    after: After = "success"  # of its predecessors
    when: str | None = None  # an expression that is all there is
    join: Join = field(default_factory=Join)
    for_each: ForEach | None = None
    repeat: Repeat | None = None
    undo: "TaskDefinition | None" = None  # its name is that of the task it undoes
    output: OutputForm = "none"  # what a command's output becomes
    secrets: Mapping[str, str] = field(default_factory=dict)  # variable -> name of a secret
    secret_files: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    timeout: timedelta | None = None
    grace: timedelta = GRACE
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    queue: str | None = None
    on: Placement | Literal["server"] | None = None
    priority: int | None = None
    on_failure: OnFailure = field(default_factory=OnFailure)
    on_lost: OnLost = "retry"
    limit: Limit | None = None
    rate: Rate | None = None
    share: str | None = None  # places under limits go round between the values of this
    output_cap: int = OUTPUT_CAP
    merge_output: bool = False
    resource_limits: ResourceLimits | None = None
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def placement(self) -> Placement | None:
        """None of a task that is the server's and its workers'."""
        return self.on if isinstance(self.on, Placement) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessType:
    name: str
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    tasks: tuple[TaskDefinition, ...]
    timeout: timedelta | None = None
    priority: int = PRIORITY
    queue: str = QUEUE
    on: Placement | None = None  # of all its tasks that can be placed and don't say where
    max_parallel: int | None = None  # tasks of this type in flight, over all its runs
    vars: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    hooks: Mapping[HookName, TaskDefinition] = field(default_factory=dict)
    concurrency: Concurrency | None = None
    undo_on_stop: bool = False
    result: Data = None  # what the run's output is made of
    schedules: tuple[Mapping[str, Any], ...] = ()
    triggers: tuple[Mapping[str, Any], ...] = ()
