"""Files that attempts left are stored before their results are recorded.

So whoever sees a task ended finds what it left. Contents are stored one at a time, on a connection
of their own, while other results pass by.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from executor.base import Left, Outcome
from scheduler.recorder import Result
from scheduler.store import task_files

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]


class Filing:
    def __init__(self, filed: Callable[[Sequence[Result]], None]) -> None:
        self.holder = 0
        self._filed = filed
        self._waiting: list[Result] = []
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def take(self, result: Result) -> None:
        self._waiting.append(result)
        self._idle.clear()
        self._arrived.set()

    async def drained(self) -> None:
        await self._idle.wait()

    async def work(self, conn: Conn) -> None:
        """A result stays here until its files are stored, however often a connection is lost."""
        while True:
            await self._arrived.wait()
            result = await self._store(conn, self._waiting[0])
            del self._waiting[0]
            self._filed([result])
            if not self._waiting:
                self._arrived.clear()
                self._idle.set()

    async def _store(self, conn: Conn, result: Result) -> Result:
        stored: list[Left] = []
        missing = await self._missing(conn, result.outcome.files)
        for left in result.outcome.files:
            if left.digest in missing:
                data = await asyncio.to_thread(content, left)
                if data is None:
                    log.error("a file that was kept is gone", extra={"task": result.task.id})
                    continue
                await task_files.put(conn, left.digest, data)
            stored.append(left)
        await task_files.keep(conn, self.holder, result.task.id, result.task.attempt, stored)
        return replace(result, outcome=noted(result.outcome, len(stored)))

    async def _missing(self, conn: Conn, files: Sequence[Left]) -> set[str]:
        return set(await task_files.wanted(conn, [left.digest for left in files]))


def content(left: Left) -> bytes | None:
    """None if the file is not what its runner had said."""
    try:
        data = Path(left.path).read_bytes()
    except OSError:
        return None
    return data if sha256(data).hexdigest() == left.digest else None


def noted(outcome: Outcome, stored: int) -> Outcome:
    lost = len(outcome.files) - stored
    if not lost:
        return outcome
    detail = dict(outcome.detail or {})
    note = f"{lost} of {len(outcome.files)} files were gone before they could be stored"
    return replace(outcome, detail={**detail, "notes": [*detail.get("notes", ()), note]})
