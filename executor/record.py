"""Exit records: what became of an attempt, as facts that survive the runner."""

import os
import resource
import signal
from typing import Any

from executor import plain, words
from executor.attempt import Attempt
from executor.base import Ending
from executor.masks import Needles
from executor.reports import Said
from executor.spawn import SpawnFailed
from executor.stored import Outlet
from executor.wire import INLINE, Segment, pack


class Record:
    """Kept until the client acknowledges it."""

    def __init__(self, facts: dict[str, Any], outlet: Outlet):
        self.facts = facts
        self.outlet = outlet
        self.is_told = False

    @property
    def key(self) -> str:
        return str(self.facts["key"])

    @property
    def files(self) -> list[dict[str, Any]]:
        return list(self.facts.get("files", ()))

    def entry(self) -> dict[str, Any]:
        """For the journal: with the output, unless that lies in a file of its own."""
        stored = self.outlet.stored
        if stored.file is not None or not stored.memory:
            return {"ended": self.facts}
        return {"ended": {**self.facts, "chunks": pack(stored.memory)}}

    def rest(self) -> list[Segment] | None:
        """What the client has not been sent yet, if that fits into the message of the end."""
        segments = self.outlet.stored.read(self.outlet.sent, INLINE + 1)
        return segments if sum(len(data) for _, _, data in segments) <= INLINE else None

    def message(self, segments: list[Segment]) -> dict[str, Any]:
        message = {"say": "ended", **self.facts}
        if segments:
            message["chunks"] = pack(segments)
        return message


def of_exit(attempt: Attempt, ended_at: float, evidence: str | None, said: Said) -> dict[str, Any]:
    """The facts about a command that began."""
    detail = describe_course(attempt, ended_at) | said.detail
    facts: dict[str, Any] = {"key": attempt.key, "detail": detail, "size": attempt.capture.size}
    if attempt.status is None:
        return {**facts, **of_unkillable(attempt)}
    code = words.exit_code(attempt.status)
    ending = attempt.cause or (Ending.FAILED if code else Ending.SUCCEEDED)
    facts |= {"ending": ending.value, "code": code}
    if attempt.cause is not None:
        facts["error"] = words.describe_end(
            attempt.cause, attempt.status, attempt.invocation.timeout
        )
    elif code:
        facts["error"] = words.describe(attempt.status, evidence)
    if evidence is not None:
        detail["out_of_memory"] = evidence
    facts |= of_made(attempt, code, said)
    return facts if attempt.needles is None else hidden(facts, attempt.needles)


def hidden(facts: dict[str, Any], needles: Needles) -> dict[str, Any]:
    """Once more, in what was read: an escape of JSON may have hidden a secret from the mask."""
    shown: dict[str, Any] = {
        name: needles.hide_in(facts[name]) for name in ("error", "detail") if name in facts
    }
    if "output" in facts:
        shown["output"] = plain.write(needles.hide_in(plain.read(facts["output"])))
    if "files" in facts:
        shown["files"] = [
            {**each, "name": needles.hide_text(each["name"])} for each in facts["files"]
        ]
    return facts | shown


def of_made(attempt: Attempt, code: int, said: Said) -> dict[str, Any]:
    """The output; a success that has not the output it should have is none."""
    made = said.made
    facts: dict[str, Any] = {"files": said.files} if said.files else {}
    if made.output is not None:
        facts["output"] = made.output
    if made.error is not None and attempt.cause is None and (code == 0 or made.explains):
        facts |= {
            "ending": Ending.FAILED.value,
            "error": words.printable(made.error),
            "retryable": made.retryable,
        }
    return facts


def of_unkillable(attempt: Attempt) -> dict[str, Any]:
    attempt_detail = f"process {attempt.pid} does not die of SIGKILL; it may hang in the kernel"
    return {
        "ending": (attempt.cause or Ending.LOST).value,
        "error": f"{attempt_detail}. Its slot is free again; look at /proc/{attempt.pid}/stack",
    }


def describe_course(attempt: Attempt, ended_at: float) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "pid": attempt.pid,
        "started_at": attempt.started_at,
        "ended_at": ended_at,
    }
    if attempt.usage is not None:
        detail["cpu_seconds"] = round(attempt.usage.ru_utime + attempt.usage.ru_stime, 6)
        if attempt.usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            # Up to our own size the kernel tells of the moment before exec, which is us.
            detail["max_rss_bytes"] = attempt.usage.ru_maxrss << 10
    if attempt.status is None:
        detail["unkillable"] = attempt.pid
    elif os.WIFSIGNALED(attempt.status):
        detail["signal"] = words.signal_name(os.WTERMSIG(attempt.status))
    if attempt.left_behind:
        detail["left_behind"] = attempt.left_behind
    if attempt.capture.dropped:
        detail["dropped"] = attempt.capture.dropped
    return detail


def of_failure(key: str, failure: SpawnFailed, needles: Needles | None = None) -> dict[str, Any]:
    """A command that could not be begun. It counts, so that trying again comes to an end."""
    said = words.printable(str(failure))
    return {
        "key": key,
        "ending": Ending.FAILED.value,
        "error": needles.hide_text(said) if needles else said,
        "retryable": failure.retryable,
        "detail": {"spawn_failed": True},
        "size": 0,
    }


def of_unbegun(key: str, ending: Ending) -> dict[str, Any]:
    why = {
        Ending.STOPPED: "stopped before it began",
        Ending.LOST: "the lease ended before the command began",
    }
    return {
        "key": key,
        "ending": ending.value,
        "error": why[ending],
        "counted": False,
        "detail": {},
        "size": 0,
    }


def of_interrupted(key: str, same_boot: bool) -> dict[str, Any]:
    """An attempt the journal saw begin, and that no runner saw end."""
    why = "the runner ended while it ran" if same_boot else "the host was started anew while it ran"
    return {
        "key": key,
        "ending": Ending.LOST.value,
        "error": f"{why}; how far it came is not known",
        "detail": {"runner_lost": True} if same_boot else {"host_restarted": True},
        "size": 0,
    }


def may_be_out_of_memory(attempt: Attempt) -> bool:
    """Killed, and not by us."""
    status = attempt.status
    return (
        attempt.cause is None
        and status is not None
        and os.WIFSIGNALED(status)
        and os.WTERMSIG(status) == signal.SIGKILL
    )
