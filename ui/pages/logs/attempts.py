"""A task with its attempts: what was carried out, how it ended, who had it, what it said."""

import json
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from scheduler.api.state import Conn
from scheduler.services import outputs, runs
from scheduler.store import output, run_screens, workstation_screens
from scheduler.store.rows import Row
from ui import frame, words
from ui.pages.logs.reading import Log
from ui.pages.logs.routes import Task, router

TOLD, SAID = 200, 50  # events, and updates of an attempt
LOOKED = 256 << 10  # bytes of a log, from its end, in which updates are looked for
RESERVED = re.compile(rb"^::procession::\s*(\{.*\})\s*$", re.MULTILINE)
SETTLED = frozenset({"COMPLETED", "SKIPPED", "IN_PROGRESS"})
SIGNALLED = 128  # and more: the number of a signal


@dataclass(frozen=True, slots=True)
class Update:
    """Something that a command said of itself, and where it did."""

    at: int
    said: Mapping[str, Any]


@router.get("")
async def ui_attempt(run: UUID, task: Task, request: Request, conn: Conn) -> Response:
    found = await outputs.task_of(conn, run, task)
    attempts = list(reversed(await outputs.attempts_of(conn, found)))
    holders = {each.get("holder") or found["holder"] for each in attempts} - {None}
    return await frame.page(
        request,
        conn,
        "attempt.html",
        run=await runs.get(conn, run),
        task=found,
        attempts=[{**each, "holder": holder_of(each, found)} for each in attempts],
        holders=await run_screens.holders(conn, sorted(holders)),
        stations=await workstation_screens.of_holders(conn, sorted(holders)),
        events=await run_screens.of_task(conn, run, found["id"], TOLD),
        updates=await updates(Log(conn, found["id"], found["attempt"])),
        carried=carried_out(found["invocation"] or {}),
        ended=ended,
        cost=cost,
        may_settle=found["state"] not in SETTLED and found["role"] == "task",
        stream=f"/ui/stream?run={run}" if found["finished_at"] is None else None,
    )


def holder_of(attempt: Row, task: Row) -> int | None:
    holder: int | None = attempt.get("holder")
    return task["holder"] if attempt["state"] == "STARTED" else holder


def carried_out(invocation: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    """What a command is given, as a person would look for it."""
    argv, secrets = invocation.get("argv"), invocation.get("secrets") or {}
    timeout, limits = invocation.get("timeout"), invocation.get("limits") or {}
    given = sorted(invocation.get("env") or {})
    hidden = sorted(secrets.get("env") or {})
    return [
        ("Command", shlex.join(argv) if isinstance(argv, list) else None),
        ("Folder", invocation.get("cwd")),
        ("User", invocation.get("user")),
        ("Environment", ", ".join(given) or None),
        ("Secrets", ", ".join([*hidden, *sorted(secrets.get("files") or {})]) or None),
        ("Timeout", words.duration(timeout) if timeout else None),
        ("Grace", words.duration(invocation["grace"]) if invocation.get("grace") else None),
        ("Limits", ", ".join(f"{n} {v}" for n, v in limits.items() if v is not None) or None),
        ("If it is lost", invocation.get("on_lost")),
    ]


def ended(code: int | None) -> str:
    """An exit code in words; one that stands for a signal names it."""
    said = words.exit_code(code)
    if code is None or "(" in said or not SIGNALLED < code < SIGNALLED + signal.NSIG:
        return said
    try:
        return f"{said} ({signal.Signals(code - SIGNALLED).name})"
    except ValueError:
        return said


def cost(detail: Mapping[str, Any] | None) -> Sequence[tuple[str, Any]]:
    """What it took of the machine, and how it left it."""
    told = detail or {}
    peak, cpu = told.get("max_rss_bytes"), told.get("cpu_seconds")
    memory = told.get("out_of_memory")
    return [
        ("Peak memory", words.size(peak) if peak is not None else None),
        ("CPU", f"{cpu:.2f} s" if cpu is not None else None),
        ("Signal", told.get("signal")),
        ("Out of memory", str(memory) if memory else None),
        ("Left behind", told.get("left_behind")),
        ("Not kept of its output", words.size(told["dropped"]) if told.get("dropped") else None),
        ("Notes", "; ".join(map(str, told.get("notes") or ())) or None),
    ]


async def updates(log: Log) -> list[Update]:
    """The latest that stand near the end of the log of the latest attempt."""
    if not log.attempt:
        return []
    [stored] = await output.ends(log.conn, [(log.task, log.attempt)])
    kept, at = b"", 0
    async for chunk in log.back(stored.stored, LOOKED):
        kept, at = chunk.data + kept, chunk.start
    found = [update(at, each) for each in RESERVED.finditer(kept)]
    return [each for each in found if each is not None][-SAID:][::-1]


def update(began: int, found: re.Match[bytes]) -> Update | None:
    try:
        said = json.loads(found[1])
    except ValueError:
        return None
    return Update(began + found.start(), said) if isinstance(said, dict) else None
