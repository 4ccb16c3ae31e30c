"""The bodies that the earlier systems document, in their words and casing."""

import json
import shlex
from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from scheduler.api import bodies
from scheduler.api.models import Inward, RecordId, Time
from scheduler.domain.commands import Argv, Command, Script, Split
from scheduler.domain.definitions import ProcessType, TaskDefinition
from scheduler.domain.states import RunState, TaskState
from scheduler.store.rows import Row

RecordStatus = Literal["PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "STOPPED"]
TaskStatus = Literal["PENDING", "IN_PROGRESS", "COMPLETED", "FAILED"]
WorkflowStatus = Literal[
    "PENDING", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED", "COMPENSATING"
]
ChainStatus = Literal["RUNNING", "COMPLETE", "FAILED"]

TypeName = Annotated[str, Field(min_length=1, max_length=63, examples=["single-task-process"])]
Text = Annotated[str, Field(max_length=65_536)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Cron = Annotated[str, Field(max_length=200, examples=["0 2 * * *"])]

R, T = RunState, TaskState
RECORD_STATES: dict[RunState, RecordStatus] = {
    R.PENDING: "PENDING",
    R.IN_PROGRESS: "IN_PROGRESS",
    R.HOLDING: "IN_PROGRESS",
    R.HELD: "IN_PROGRESS",
    R.STOPPING: "IN_PROGRESS",
    R.COMPENSATING: "IN_PROGRESS",
    R.COMPLETED: "COMPLETED",
    R.FAILED: "FAILED",
    R.STOPPED: "STOPPED",
}
TASK_STATES: dict[TaskState, TaskStatus] = {
    T.PENDING: "PENDING",
    T.WAITING: "PENDING",
    T.READY: "PENDING",
    T.SKIPPED: "PENDING",  # it never began
    T.IN_PROGRESS: "IN_PROGRESS",
    T.COMPLETED: "COMPLETED",
    T.FAILED: "FAILED",
    T.STOPPED: "FAILED",
}
WORKFLOW_STATES: dict[RunState, WorkflowStatus] = {
    R.PENDING: "PENDING",
    R.IN_PROGRESS: "RUNNING",
    R.HOLDING: "PAUSED",
    R.HELD: "PAUSED",
    R.STOPPING: "RUNNING",
    R.COMPENSATING: "COMPENSATING",
    R.COMPLETED: "COMPLETED",
    R.FAILED: "FAILED",
    R.STOPPED: "CANCELLED",
}


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class CamelInward(Inward):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)


class NewProcessRecord(CamelInward):
    id: RecordId
    type: TypeName
    input_data: Text = Field(
        description="A JSON object, or `key:value;key:value`; other text names no variable.",
        examples=['{"input_file": "a.csv"}', "input_file:a.csv;output_dir:out"],
    )
    schedule: Cron | None = Field(default=None, description="A cron expression, in UTC.")


class EditedProcessRecord(CamelInward):
    """What is left out stays as it is."""

    type: TypeName | None = None
    input_data: Text | None = None
    schedule: Cron | None = None


class ProcessRecord(Camel):
    id: str
    type: str
    input_data: str
    schedule: str | None
    current_status: RecordStatus
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


class ProcessRecordResponse(Camel):
    success: bool = True
    message: str
    process_record: ProcessRecord | None
    error: str | None = None


class TypeTask(Camel):
    name: str
    command: str
    working_directory: str | None
    timeout_minutes: int | None
    max_retries: int


class TypeOfProcess(Camel):
    name: str
    description: str
    task_count: int
    tasks: list[TypeTask]


class ProcessTypes(Camel):
    process_types: list[TypeOfProcess]
    all_task_names: list[str]


class ProcessTypesForTables(ProcessTypes):
    task_names: list[str]


class TaskData(Camel):
    task_id: str
    process_id: str
    name: str
    command: str
    working_directory: str | None
    timeout_minutes: int | None
    max_retries: int
    retry_count: int
    status: TaskStatus
    started_at: Time | None
    completed_at: Time | None
    error_message: str | None
    exit_code: int | None
    output: str | None


class ProcessTable(Camel):
    task_names: list[str]
    processes: list[ProcessRecord]
    process_tasks: dict[str, list[TaskData]]


class ProcessDetail(Camel):
    process: ProcessRecord
    tasks: list[TaskData]


class TaskDetails(BaseModel):
    task_id: str = Field(examples=["nightly-task-0"])
    process_record_id: str
    task_index: int
    task_name: str
    command: str
    working_directory: str | None
    timeout_minutes: int | None
    max_retries: int
    status: TaskStatus
    started_at: Time | None
    completed_at: Time | None
    exit_code: int | None
    output: str | None
    error_message: str | None
    retry_count: int


class ProcessStatistics(Camel):
    total_processes: int
    completed_processes: int
    in_progress_processes: int
    failed_processes: int


class ExecuteContext(CamelInward):
    employee_id: Word | None = None
    organization_id: Word | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    variables: dict[str, Any] = Field(default_factory=dict)


class Execute(CamelInward):
    """Variables become the input of the run, a payload its key `payload`. Secrets are taken and
    not kept: there is no definition yet that could name one."""

    organization_id: Word | None = Field(default=None, examples=["org-1"])
    employee_id: Word | None = Field(default=None, examples=["emp-7"])
    variables: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, Any] = Field(default_factory=dict)
    payload: Any = None
    context: ExecuteContext | None = None


class WorkflowContext(Camel):
    organization_id: str | None
    employee_id: str | None
    trigger_event: str
    variables: dict[str, Any]
    secrets: dict[str, str]
    correlation_id: UUID


class WorkflowRun(Camel):
    id: UUID
    organization_id: str | None
    workflow_id: str
    employee_id: str | None
    trigger_event: str
    status: WorkflowStatus
    context: WorkflowContext
    started_at: Time | None
    ended_at: Time | None
    error_details: str | None
    correlation_id: UUID
    parent_run_id: UUID | None = None


class WorkflowRunResponse(BaseModel):
    success: bool = True
    data: WorkflowRun


class WorkflowRunsResponse(BaseModel):
    success: bool = True
    data: list[WorkflowRun]


class Done(BaseModel):
    success: bool = True
    message: str


UpDown = Literal["up", "down"]


class EngineComponents(BaseModel):
    """What took the place of each: PostgreSQL holds state and queue."""

    redis: UpDown
    orchestrator: UpDown
    kafka: UpDown


class EngineMetrics(Camel):
    active_workflows: int
    scheduled_retries: int
    queued_nodes: int


class EngineStore(Camel):
    latency_ms: float
    memory_usage: str
    connected_clients: int


class EngineHealth(BaseModel):
    status: Literal["healthy", "unhealthy"]
    components: EngineComponents
    metrics: EngineMetrics
    redis: EngineStore


class NewStep(CamelInward):
    action: Word = Field(examples=["validate"])
    step_index: Annotated[int, Field(ge=0, le=1_000_000)]


class NewChain(Inward):
    id: Annotated[str, Field(min_length=1, max_length=63, examples=["checkout"])]
    steps: Annotated[list[NewStep], Field(min_length=1, max_length=200)]


class ChainStep(Camel):
    id: int
    action: str
    step_index: int


class Chain(BaseModel):
    id: str
    steps: list[ChainStep]


class Trigger(Inward):
    input: Any = Field(default=None, description="The payload of the first step.")


class StepResult(Camel):
    id: int
    action: str
    step_index: int
    result: str | None
    timestamp: Time | None


class ChainRun(Camel):
    run_id: UUID
    workflow_id: str
    current_step: int
    status: ChainStatus
    start_time: Time | None
    end_time: Time | None
    input: str | None
    final_output: str | None
    step_results: list[StepResult]


def input_of(text: str) -> dict[str, Any]:
    """A JSON object, or `key:value;key:value`; any other text names no variable."""
    if text.lstrip().startswith("{"):
        found: dict[str, Any] = bodies.parse(text.encode())
        return found
    pairs = [part.partition(":") for part in text.split(";") if part.strip()]
    if not all(colon and key.strip() for key, colon, _ in pairs):
        return {}
    return {key.strip(): value.strip() for key, _, value in pairs}


def text_of(input: dict[str, Any], given: str | None) -> str:
    """The text that it was given as, unless it was changed since in another way."""
    if given is not None and input_of(given) == input:
        return given
    return plain(input)


def plain(value: Any) -> str:
    """Texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def record(row: Row) -> ProcessRecord:
    state = RECORD_STATES[RunState(row["state"])]
    return ProcessRecord(
        id=row["id"],
        type=row["type"],
        input_data=text_of(row["input"], row["input_text"]),
        schedule=row["schedule"],
        current_status=state,
        current_task_index=row["current_task_index"],
        total_tasks=row["total_tasks"],
        started_when=row["started_at"],
        completed_when=ended(row, state, "COMPLETED"),
        failed_when=ended(row, state, "FAILED"),
        stopped_when=ended(row, state, "STOPPED"),
        last_error_message=row["error"],
        triggered_by=row["triggered_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def ended(row: Row, state: RecordStatus, wanted: RecordStatus) -> datetime | None:
    moment: datetime | None = row["finished_at"]
    return moment if state == wanted else None


def type_of(definition: ProcessType) -> TypeOfProcess:
    return TypeOfProcess(
        name=definition.name,
        description=definition.description,
        task_count=len(definition.tasks),
        tasks=[type_task(task) for task in definition.tasks],
    )


def type_task(task: TaskDefinition) -> TypeTask:
    return TypeTask(
        name=task.name,
        command=command_of(task.command),
        working_directory=task.cwd,
        timeout_minutes=minutes(task.timeout.total_seconds() if task.timeout else None),
        max_retries=task.retries.max,
    )


def command_of(command: Command | None) -> str:
    match command:
        case Script(script):
            return script
        case Split(text):
            return text
        case Argv(words):
            return shlex.join(words)
    return ""


def minutes(seconds: float | None) -> int | None:
    return None if seconds is None else ceil(seconds / 60)


def task_names(types: Sequence[TypeOfProcess]) -> list[str]:
    return sorted({task.name for each in types for task in each.tasks})


def task(row: Row, definition: ProcessType) -> TaskData:
    defined = type_task(definition.tasks[row["position"]])
    invocation = row["invocation"] or {}
    return TaskData(
        task_id=f"{row['record']}-task-{row['position']}",
        process_id=row["record"],
        name=row["name"],
        command=shlex.join(invocation["argv"]) if "argv" in invocation else defined.command,
        working_directory=invocation.get("cwd") or defined.working_directory,
        timeout_minutes=defined.timeout_minutes,
        max_retries=defined.max_retries,
        retry_count=max(0, row["counted"] - 1),
        status=TASK_STATES[TaskState(row["state"])],
        started_at=row["started_at"],
        completed_at=row["finished_at"],
        error_message=row["error"],
        exit_code=row["exit_code"],
        output=printed(row),
    )


def printed(row: Row) -> str | None:
    return None if row["printed"] is None else row["printed"].decode(errors="replace")


def details(row: Row, definition: ProcessType) -> TaskDetails:
    found = task(row, definition)
    return TaskDetails(
        task_id=found.task_id,
        process_record_id=found.process_id,
        task_index=row["position"],
        task_name=found.name,
        command=found.command,
        working_directory=found.working_directory,
        timeout_minutes=found.timeout_minutes,
        max_retries=found.max_retries,
        status=found.status,
        started_at=found.started_at,
        completed_at=found.completed_at,
        exit_code=found.exit_code,
        output=found.output,
        error_message=found.error_message,
        retry_count=found.retry_count,
    )


def workflow_run(row: Row) -> WorkflowRun:
    labels = row["labels"]
    organization, employee = labels.get("organization_id"), labels.get("employee_id")
    return WorkflowRun(
        id=row["id"],
        organization_id=organization,
        workflow_id=row["type"],
        employee_id=employee,
        trigger_event="manual",
        status=WORKFLOW_STATES[RunState(row["state"])],
        context=WorkflowContext(
            organization_id=organization,
            employee_id=employee,
            trigger_event="manual",
            variables=row["input"],
            secrets={},
            correlation_id=row["id"],
        ),
        started_at=row["started_at"],
        ended_at=row["finished_at"],
        error_details=row["error"],
        correlation_id=row["id"],
    )


def chain(document: dict[str, Any]) -> Chain:
    steps = [
        ChainStep(
            id=number,
            action=each["labels"]["action"],
            step_index=int(each["labels"]["step_index"]),
        )
        for number, each in enumerate(document["tasks"], 1)
    ]
    return Chain(id=document["name"], steps=steps)


def chain_run(row: Row, results: Sequence[Row]) -> ChainRun:
    state = RunState(row["state"])
    return ChainRun(
        run_id=row["id"],
        workflow_id=row["type"],
        current_step=row["total"] - row["open"],
        status=chain_status(state),
        start_time=row["started_at"],
        end_time=row["finished_at"],
        input=text_or_none(row["input"].get("input")),
        final_output=final_output(row, state, results),
        step_results=[step_result(each) for each in results if each["finished_at"]],
    )


def chain_status(state: RunState) -> ChainStatus:
    if state is RunState.COMPLETED:
        return "COMPLETE"
    return "FAILED" if state.is_final else "RUNNING"


def final_output(row: Row, state: RunState, results: Sequence[Row]) -> str | None:
    if state is RunState.COMPLETED:
        return text_or_none(results[-1]["output"]) if results else None
    return row["error"] if state.is_final else None


def step_result(row: Row) -> StepResult:
    return StepResult(
        id=row["id"],
        action=row["action"] or "",
        step_index=row["step_index"],
        result=text_or_none(row["output"]) if row["state"] == "COMPLETED" else row["error"],
        timestamp=row["finished_at"],
    )


def text_or_none(value: Any) -> str | None:
    return None if value is None else plain(value)
