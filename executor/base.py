"""What an executor is asked to do, and what it answers. Values only; no database, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """How an attempt ended. LOST means that nobody knows; it is never guessed."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    LOST = "LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of a command; None leaves the runner's own."""

    cpu_seconds: int | None = None
    memory_bytes: int | None = None
    open_files: int | None = None
    processes: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A command, rendered: nothing in it is filled in any more.

    `argv` never passes through a shell; with `shell` it is `["/bin/sh", "-c", script]`, made
    where the definition is rendered. `env` is the whole environment beside the few names that
    the runner itself sets.
    """

    argv: Sequence[str]
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    timeout: float | None = None  # seconds
    grace: float = 10.0  # seconds between TERM and KILL
    merge_output: bool = False
    output_cap: int = 4 << 20
    limits: Limits | None = None
    user: str | None = None
    on_lost: str = "retry"  # with "wait" the lease's end does not stop the command
    output: str = "none"  # what the task's output is made of: see executor.outputs
    files_cap: int = 16 << 20  # bytes of all files that it may leave together
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # by variable
    secret_files: Mapping[str, str] = field(default_factory=dict, repr=False)  # its path: variable
    masks: Sequence[str] = field(default=(), repr=False)  # hidden as well, wherever they stand

    @property
    def hidden(self) -> frozenset[str]:
        """What nobody may read in what comes of it."""
        return frozenset((*self.secrets.values(), *self.secret_files.values(), *self.masks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A file that a command left, as it lies where whoever carried it out has put it."""

    name: str
    type: str | None
    size: int
    digest: str  # SHA-256, in hexadecimal
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt.

    `counted` says whether it may use up a retry: an attempt that never began does not.
    `output` is the task's output as JSON text, ready for jsonb. `retry_after`: whoever was asked
    wants to be left alone for so many seconds. `error_type`: which kind of error it was, where
    whoever failed has names for them. `ended_at`: when, if that was long before it was told.
    """

    ending: Ending
    counted: bool = True
    exit_code: int | None = None
    error: str | None = None
    retryable: bool = True
    output: str | None = None
    detail: Mapping[str, Any] | None = None
    files: Sequence[Left] = ()
    retry_after: float | None = None
    error_type: str | None = None
    ended_at: datetime | None = None
