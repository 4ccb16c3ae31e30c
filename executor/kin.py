"""Who descends from whom, read from /proc.

A command's processes are found in three ways: below its first process, by the mark in their
environment, and by what was seen before they lost their parents. Only numbers that cannot have
been given to a stranger meanwhile are ever signalled: our own unreaped children, and others
through a pidfd whose start time is checked after opening.
"""

import contextlib
import os
import signal
from typing import NamedTuple

MARK = "PROCESSION_ATTEMPT"


class Identity(NamedTuple):
    """A process for all time: the number may be given out again, but not with this start."""

    pid: int
    started: int


class Stat(NamedTuple):
    state: str
    group: int
    session: int
    started: int


def read_stat(pid: int) -> Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return Stat(fields[0].decode(), int(fields[2]), int(fields[3]), int(fields[19]))


def children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found.extend(map(int, file.read().split()))
    return found


def descendants(roots: list[int]) -> list[int]:
    """Everything below, the roots themselves left out; parents before their children."""
    found: list[int] = []
    todo = list(roots)
    while todo:
        below = children(todo.pop())
        found += below
        todo += below
    return found


def identify(pid: int) -> Identity | None:
    stat = read_stat(pid)
    return Identity(pid, stat.started) if stat else None


def mark(pid: int) -> str | None:
    """The attempt that a process says it belongs to, if it kept that in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read(1 << 20)
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        if entry.startswith(MARK.encode() + b"="):
            return entry[len(MARK) + 1 :].decode(errors="replace")
    return None


def signal_child(pid: int, number: int) -> None:
    """For a child of ours that we have not reaped: its number cannot be anybody else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def signal_stranger(identity: Identity, number: int) -> None:
    """For somebody else's child, which may be gone and its number given to another."""
    try:
        handle = os.pidfd_open(identity.pid)
    except OSError:
        return
    try:
        if identify(identity.pid) == identity:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)
