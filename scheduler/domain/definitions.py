"""Process types and their tasks, as their authors defined them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from scheduler.domain.commands import Command
from scheduler.domain.retries import RetryPolicy

PRIORITY = 4  # 9 is most urgent
QUEUE = "default"
OUTPUT_CAP = 4 << 20
GRACE = timedelta(seconds=10)

FailureKind = Literal["stop", "stop_now", "continue", "handler"]
OnLost = Literal["retry", "fail", "wait"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    cpu_seconds: int | None = None
    memory_bytes: int | None = None
    open_files: int | None = None
    processes: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    name: str
    description: str = ""
    kind: Literal["run", "noop"] = "run"
    needs: tuple[str, ...] = ()  # resolved: the order of a list is made explicit
    command: Command | None = None  # None for a noop
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    timeout: timedelta | None = None
    grace: timedelta = GRACE
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    queue: str | None = None
    priority: int | None = None
    on_failure: OnFailure = field(default_factory=OnFailure)
    on_lost: OnLost = "retry"
    limit: Limit | None = None
    output_cap: int = OUTPUT_CAP
    merge_output: bool = False
    resource_limits: ResourceLimits | None = None
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessType:
    name: str
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    tasks: tuple[TaskDefinition, ...]
    timeout: timedelta | None = None
    priority: int = PRIORITY
    queue: str = QUEUE
    max_parallel: int | None = None  # tasks of this type in flight, over all its runs
    vars: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
