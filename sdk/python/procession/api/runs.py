"""Runs: start, look at, wait for, steer."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from procession.api.plans import Json, Plan, ask, at, get, pages, post, put_off, said, send
from procession.api.problems import RunFailed

FINAL = frozenset({"COMPLETED", "FAILED", "STOPPED"})
TASK_IS_OVER = frozenset({"COMPLETED", "FAILED", "SKIPPED", "STOPPED"})
LONGEST_WAIT = 60  # seconds that one request may be put off


@dataclass(frozen=True, slots=True)
class Run:
    """One carrying-out of a process type. `data` is all that the server said of it."""

    id: str
    type: str
    version: int
    status: str
    input: Json
    output: Any
    error: str | None
    labels: Mapping[str, str]
    data: Json = field(repr=False)

    @property
    def is_over(self) -> bool:
        return self.status in FINAL

    @property
    def is_completed(self) -> bool:
        return self.status == "COMPLETED"


def run_of(told: Json) -> Run:
    return Run(
        id=told["id"],
        type=told["type"],
        version=told["version"],
        status=told["status"],
        input=told["input"],
        output=told.get("output"),
        error=told.get("error"),
        labels=told.get("labels") or {},
        data=told,
    )


def id_of(run: Run | str) -> str:
    return run.id if isinstance(run, Run) else str(run)


def start(
    type: str,
    input: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    labels: Mapping[str, str] | None = None,
    priority: int | None = None,
    version: int | None = None,
) -> Plan[Run]:
    """Begin a run. The same `key` with the same wish is the same run, however often it is asked."""
    body = said(
        {
            "type": type,
            "input": dict(input or {}),
            "labels": dict(labels) if labels else None,
            "priority": priority,
            "version": version,
        }
    )
    return run_of((yield from ask(post(at("runs"), body, key=key))))


def get_run(run: Run | str) -> Plan[Run]:
    """How it stands now."""
    return run_of((yield from ask(get(at("runs", id_of(run))))))


def status(run: Run | str) -> Plan[str]:
    told = yield from ask(get(at("runs", id_of(run))))
    return str(told["status"])


def wait(run: Run | str, timeout: float | None = None) -> Plan[Run]:
    """Until it has ended, however. After `timeout` seconds it raises TimeoutError."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = LONGEST_WAIT if end is None else end - time.monotonic()
        seconds = max(0, min(LONGEST_WAIT, round(left)))
        found = run_of((yield from ask(put_off(at("runs", id_of(run)), seconds))))
        if found.is_over:
            return found
        if end is not None and time.monotonic() >= end:
            raise TimeoutError(f"the run {found.id} is {found.status} after {timeout:g} s")


def output(run: Run | str, timeout: float | None = None) -> Plan[Any]:
    """What it came to, waited for. A run that failed or was stopped raises RunFailed."""
    found = yield from wait(run, timeout)
    if not found.is_completed:
        raise RunFailed(found.id, found.status, found.error)
    return found.output


def list_runs(
    *,
    type: str | None = None,
    status: str | Iterable[str] | None = None,
    labels: Mapping[str, str] | None = None,
    record: str | None = None,
    error: str | None = None,
    created_from: str | None = None,
    created_to: str | None = None,
    most: int | None = 200,
) -> Plan[list[Run]]:
    """The newest first; filters narrow each other. `most=None` is all there are."""
    found = yield from pages(
        at("runs"),
        most,
        type=type,
        status=[status] if isinstance(status, str) else list(status) if status else None,
        label=[f"{name}:{value}" for name, value in labels.items()] if labels else None,
        record=record,
        error=error,
        created_from=created_from,
        created_to=created_to,
    )
    return [run_of(each) for each in found]


def steer(run: Run | str, verb: str, **wish: Any) -> Plan[Run]:
    told = yield from ask(post(at("runs", id_of(run), verb), said(wish)))
    return run_of(told)


def hold(run: Run | str, *, freeze: bool = False) -> Plan[Run]:
    """Nothing more of it begins. `freeze` stops commands in hand, until `resume`."""
    return (yield from steer(run, "hold", freeze=freeze))


def resume(run: Run | str) -> Plan[Run]:
    return (yield from steer(run, "resume"))


def stop(
    run: Run | str, *, why: str | None = None, kill: bool = False, undo: bool = False
) -> Plan[Run]:
    """What is in hand is told to end; with `undo`, what was done is undone."""
    return (yield from steer(run, "stop", why=why, kill=kill, undo=undo))


def undo(run: Run | str) -> Plan[Run]:
    return (yield from steer(run, "undo"))


def retry(
    run: Run | str,
    *,
    task: str | None = None,
    input: Mapping[str, Any] | None = None,
    whole: bool = False,
) -> Plan[Run]:
    """From what failed on, or from one task on, or as a whole."""
    wish = {"task": task, "input": dict(input) if input is not None else None, "whole": whole}
    return (yield from steer(run, "retry", **wish))


COMMANDS = {"hold": hold, "resume": resume, "stop": stop, "retry": retry, "undo": undo}


def command(run: Run | str, verb: str, **wish: Any) -> Plan[Run]:
    """`hold`, `resume`, `stop`, `retry` or `undo` by name, with the same wishes."""
    if verb not in COMMANDS:
        raise ValueError(f"verb: one of {', '.join(COMMANDS)} is due, not {verb!r}")
    return (yield from COMMANDS[verb](run, **wish))


def change(
    run: Run | str, *, labels: Mapping[str, str | None] | None = None, priority: int | None = None
) -> Plan[Run]:
    body = said({"labels": dict(labels) if labels else None, "priority": priority})
    return run_of((yield from ask(send("PATCH", at("runs", id_of(run)), body))))


def why(run: Run | str) -> Plan[Json]:
    """Why it does not go on."""
    found: Json = yield from ask(get(at("runs", id_of(run), "why")))
    return found


def list_history(run: Run | str) -> Plan[list[Json]]:
    """All that has happened to it so far."""
    return (yield from pages(at("runs", id_of(run), "events"), None))


def list_children(run: Run | str) -> Plan[list[Run]]:
    found = yield from pages(at("runs", id_of(run), "children"), None)
    return [run_of(each) for each in found]


def list_tasks(run: Run | str) -> Plan[list[Json]]:
    return (yield from pages(at("runs", id_of(run), "tasks"), None))


def get_task(run: Run | str, task: str) -> Plan[Json]:
    found: Json = yield from ask(get(at("runs", id_of(run), "tasks", task)))
    return found


def list_attempts(run: Run | str, task: str) -> Plan[list[Json]]:
    found = yield from ask(get(at("runs", id_of(run), "tasks", task, "attempts")))
    return list(found["items"])


def next_attempt(run: Run | str, task: str, after: int) -> Plan[int]:
    """The number of the attempt behind this one, when it has begun; 0 if there will be none."""
    while True:
        found = yield from get_task(run, task)
        if found["attempt"] > after:
            return after + 1
        whole = run_of((yield from ask(put_off(at("runs", id_of(run)), 1))))
        if whole.is_over or found["status"] in TASK_IS_OVER:
            return 0


def skip_task(run: Run | str, task: str, why: str) -> Plan[Json]:
    found: Json = yield from ask(post(at("runs", id_of(run), "tasks", task, "skip"), {"why": why}))
    return found


def complete_task(run: Run | str, task: str, why: str, output: Any = None) -> Plan[Json]:
    body = {"why": why, "output": output}
    found: Json = yield from ask(post(at("runs", id_of(run), "tasks", task, "complete"), body))
    return found
