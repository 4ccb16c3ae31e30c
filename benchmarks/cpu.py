"""What processes have cost so far, by the kernel's own account."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from benchmarks.support import one

TICK = 1 / os.sysconf("SC_CLK_TCK")
PARENT, OWN, CHILDREN = 1, slice(11, 13), slice(13, 15)  # fields of stat behind the name


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the process's name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def spent(pid: int) -> float:
    """Seconds of CPU of a process and its threads, its children left out."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def spent_by_dead_children(pid: int) -> float:
    return sum(map(int, stat(pid)[CHILDREN])) * TICK


async def postmaster(conn: AsyncConnection[Any]) -> int:
    """The server's first process, if it runs on this machine."""
    return int(stat(await one(conn, "select pg_backend_pid()"))[PARENT])


def spent_by_postgres(postmaster: int) -> float:
    """What those cost that end meanwhile, the postmaster has a moment later."""
    living = 0.0
    for pid in children(postmaster):
        with suppress(FileNotFoundError, ProcessLookupError):
            living += spent(pid)
    return living + spent(postmaster) + spent_by_dead_children(postmaster)


def children(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int(stat(int(entry.name))[PARENT]) == parent:
                    yield int(entry.name)
            except (FileNotFoundError, ProcessLookupError):
                continue
