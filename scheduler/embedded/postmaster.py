"""The server process of a data directory: what postmaster.pid says, checked against what runs."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Nothing of our own environment: neither its secrets nor a stray PGOPTIONS.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
PID, PORT, SOCKETS, STATUS = 0, 3, 4, 7  # lines of postmaster.pid


@dataclass(frozen=True, slots=True)
class Postmaster:
    pid: int
    port: int
    sockets: Path
    is_ready: bool


def find(data: Path) -> Postmaster | None:
    """The running server of `data`. A number that another program has got since is no server."""
    lines = pid_file(data)
    if lines is None or not serves(int(lines[PID]), data):
        return None
    return Postmaster(
        pid=int(lines[PID]),
        port=int(lines[PORT]) if len(lines) > PORT else 0,
        sockets=Path(lines[SOCKETS]) if len(lines) > SOCKETS else data,
        is_ready=len(lines) > STATUS and lines[STATUS].strip() == "ready",
    )


def pid_file(data: Path) -> list[str] | None:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    return lines if lines and lines[PID].strip().isdigit() else None


def serves(pid: int, data: Path) -> bool:
    """Its command line names the folder; one that has ended and waits to be reaped has none."""
    return str(data) in of_process(pid, "cmdline").split("\0")


def of_process(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def disown_stale_pid(data: Path) -> None:
    """Let a start go on whose old process number now belongs to somebody else.

    PostgreSQL would refuse, since the number is alive; it overlooks its own parent's, so that one
    is put in its place. The other lines stay: by them it sees backends that are still running.
    """
    lines = pid_file(data)
    if lines is None or not (name := of_process(int(lines[PID]), "comm").strip()):
        return
    if name != "postgres":
        lines[PID] = str(os.getpid())
        (data / "postmaster.pid").write_text("\n".join(lines) + "\n")


def spawn(argv: list[str], output: Path) -> int:
    """A server of its own session, which outlives us: Ctrl-C and the end of ours do not reach it.

    Not by asyncio or subprocess, whose objects would end or complain about a child that stays.
    """
    closed = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    log = (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.posix_spawn(
        argv[0],
        argv,
        ENVIRONMENT,
        file_actions=[closed, log, (os.POSIX_SPAWN_DUP2, 1, 2)],
        setsid=True,
        setsigmask=[],
    )


def has_ended(pid: int) -> bool:
    """Also takes notice of the end, when it was a child of ours."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return not Path(f"/proc/{pid}").exists()


async def wait_until_ended(pid: int) -> None:
    """Whoever's child it is: an adopted server is not ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    has_ended(pid)
