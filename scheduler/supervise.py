"""Keeps command processes running, and ends them in order.

They never outlive us, not even when we are killed: between fork and exec each asks the kernel for a
SIGKILL at the end of its parent. A small program does that, since Python code between fork and exec
(preexec_fn) may deadlock beside threads. The kernel means the parent's *thread*, so supervise from
one that lasts: the main thread.
"""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

log = logging.getLogger(__name__)

# The parent may have gone before we asked: then nobody would tell us any more.
TETHER = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, SIGKILL):
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the supervisor is gone")
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
"""


@dataclass(slots=True)
class Backoff:
    """The pause before each restart: longer each time, short again after a good while alive."""

    shortest: float = 0.1
    longest: float = 10.0
    good_while: float = 30.0
    _next: float = 0.0

    def after(self, alive: float) -> float:
        if alive >= self.good_while or not self._next:
            self._next = self.shortest
        pause, self._next = self._next, min(self._next * 2, self.longest)
        return pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process to keep running. Its output is ours; it hears no Ctrl-C but ours."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stop_with: Callable[[], signal.Signals] = lambda: signal.SIGTERM
    grace: float = 30.0


async def supervise(parts: Sequence[Part], stop: asyncio.Event) -> None:
    """Start all in order; when told to stop, end them last to first, each before the next."""
    leaving = [asyncio.Event() for _ in parts]
    async with asyncio.TaskGroup() as group:
        kept = [
            group.create_task(keep(part, leave), name=part.name)
            for part, leave in zip(parts, leaving, strict=True)
        ]
        await stop.wait()
        for task, leave in reversed(list(zip(kept, leaving, strict=True))):
            leave.set()
            await task


async def keep(part: Part, leave: asyncio.Event, backoff: Backoff | None = None) -> None:
    backoff = backoff or Backoff()
    while not leave.is_set():
        begun = monotonic()
        process = await spawn(part)
        try:
            if await left_first(process, leave):
                return await end(process, part)
        finally:
            await kill(process)
        alive = monotonic() - begun
        pause = backoff.after(alive)
        log.warning("a part ended and is started again", extra=fact(part, process, alive, pause))
        await pause_unless(leave, pause)


async def spawn(part: Part) -> Process:
    tether = [sys.executable, "-ISc", TETHER, str(os.getpid())]
    process = await asyncio.create_subprocess_exec(
        *tether, *part.argv, env=part.env, stdin=DEVNULL, start_new_session=True
    )
    log.info("a part was started", extra={"part": part.name, "pid": process.pid})
    return process


async def left_first(process: Process, leave: asyncio.Event) -> bool:
    """Wait for the end of the process or for our own leaving: was it the leaving?"""
    ended, left = asyncio.ensure_future(process.wait()), asyncio.ensure_future(leave.wait())
    try:
        await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        left.cancel()
    return leave.is_set()


async def end(process: Process, part: Part) -> None:
    """Ask, wait out the grace, insist."""
    with suppress(ProcessLookupError):
        process.send_signal(part.stop_with())
    try:
        async with asyncio.timeout(part.grace):
            await process.wait()
    except TimeoutError:
        log.warning("a part did not stop in time and is killed", extra={"part": part.name})
        await kill(process)


async def kill(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def pause_unless(leave: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await leave.wait()


def fact(part: Part, process: Process, alive: float, pause: float) -> dict[str, object]:
    return {
        "part": part.name,
        "ended": in_words(process.returncode or 0),
        "alive_seconds": round(alive, 1),
        "in_seconds": pause,
    }


def in_words(returncode: int) -> str:
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"
