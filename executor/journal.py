"""What must be known when the runner is gone: which attempts began, and how others ended.

Written before the act it speaks of: a start before its spawn, an exit before it is sent. Not
synced to the platter: with the host every command is gone as well.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from typing import Any

from executor.spawn import SpawnFailed
from executor.wire import to_json

RESERVE = 1 << 20  # given up when the disk is full, so that exits can still be recorded
COMPACT_AT = 4 << 20


def as_line(entry: dict[str, Any]) -> str:
    return to_json(entry) + "\n"


class Journal:
    def __init__(self, folder: int):
        self.folder = folder
        self.lines: list[str] = []
        self.file = self.open(os.O_APPEND)
        self.size = os.fstat(self.file).st_size
        self.is_full = False
        self.compact_at = COMPACT_AT
        self.reserve()

    def open(self, flags: int, name: str = "journal") -> int:
        flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(name, flags, 0o600, dir_fd=self.folder)

    def reserve(self) -> None:
        file = self.open(0, "reserve")
        with contextlib.suppress(OSError):
            os.posix_fallocate(file, 0, RESERVE)
            self.is_full = False
        os.close(file)

    def demand_room(self) -> None:
        """Nothing is begun on a full disk: its end could not be recorded."""
        if self.is_full:
            self.reserve()
        if self.is_full:
            raise SpawnFailed("the runner's disk is full; make room there", retryable=True)

    def note(self, entry: dict[str, Any]) -> None:
        self.lines.append(as_line(entry))

    def note_start(self, key: str) -> None:
        self.lines.append(f'{{"start":"{key}"}}\n')

    def write(self) -> None:
        """One write for all that was noted. A full disk costs the reserve, never an exit."""
        if not self.lines:
            return
        data = "".join(self.lines).encode()
        try:
            self.append(data)
        except OSError:
            self.give_up_reserve()
            with contextlib.suppress(OSError):
                self.append(data)
        self.lines.clear()

    def append(self, data: bytes) -> None:
        try:
            done = os.write(self.file, data)
            if done < len(data):
                raise OSError("the disk is full")
        except OSError:
            os.ftruncate(self.file, self.size)
            raise
        self.size += done

    def give_up_reserve(self) -> None:
        self.is_full = True
        with contextlib.suppress(OSError):
            os.unlink("reserve", dir_fd=self.folder)

    def rewrite(self, entries: Iterable[dict[str, Any]]) -> None:
        """Forget what was acknowledged. The old journal counts until the new one is whole."""
        before, size = self.file, self.size
        self.file, self.size = self.open(os.O_APPEND | os.O_TRUNC, "new"), 0
        try:
            self.append("".join(map(as_line, entries)).encode())
        except OSError:
            os.close(self.file)
            self.file, self.size = before, size
            return
        os.rename("new", "journal", src_dir_fd=self.folder, dst_dir_fd=self.folder)
        os.close(before)
        self.lines.clear()
        self.compact_at = max(COMPACT_AT, 2 * self.size)

    def read(self) -> tuple[list[str], dict[str, dict[str, Any]], str | None]:
        """Attempts that began and did not end; exits nobody acknowledged; the boot they are of."""
        begun: dict[str, None] = {}
        exits: dict[str, dict[str, Any]] = {}
        boot: str | None = None
        for line in os.pread(self.file, self.size, 0).splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut off in the middle by the end of its writer
            if "start" in entry:
                begun[entry["start"]] = None
            elif "ended" in entry:
                begun.pop(entry["ended"]["key"], None)
                exits[entry["ended"]["key"]] = entry["ended"]
            elif "acknowledged" in entry:
                for key in entry["acknowledged"]:
                    exits.pop(key, None)
            elif "boot" in entry:
                boot = entry["boot"]
        return list(begun), exits, boot
