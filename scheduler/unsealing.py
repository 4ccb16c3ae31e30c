"""Tasks that need secrets: their values are fetched for all that were claimed together, right
before they are begun, and kept by nobody but the runner.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection

from executor.base import Ending, Outcome
from scheduler.domain import sealed
from scheduler.domain import secrets as rules
from scheduler.domain.errors import Refusal
from scheduler.domain.tasks import Claimed
from scheduler.loops.pulse import Pulse
from scheduler.recorder import Result
from scheduler.services import secrets
from scheduler.services.keyring import Keys

MOST = 200
SAFETY = 60.0

Conn = AsyncConnection[Any]


class Unsealer:
    """What it holds is in nobody's hands yet: with the worker it goes back to the queue."""

    def __init__(
        self,
        keys: Keys,
        begin: Callable[[Sequence[Claimed]], None],
        fail: Callable[[Sequence[Result]], None],
    ) -> None:
        self._keys = keys
        self._begin = begin
        self._fail = fail
        self._waiting: list[Claimed] = []
        self._arrived = Pulse()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, task: Claimed) -> None:
        self._waiting.append(task)
        self._arrived.poke()

    async def work(self, conn: Conn) -> None:
        """Nothing leaves before its values are there, so a lost connection loses nothing."""
        while True:
            while batch := self._waiting[:MOST]:
                opened, refused = await self._open(conn, batch)
                del self._waiting[: len(batch)]
                self._begin(opened)
                self._fail(refused)
            await self._arrived.wait(SAFETY)

    async def _open(
        self, conn: Conn, batch: Sequence[Claimed]
    ) -> tuple[list[Claimed], list[Result]]:
        asked = {(task.run_id, name) for task in batch for name in names_of(task)}
        opened: list[Claimed] = []
        refused: list[Result] = []
        try:
            found = await secrets.values_for(conn, self._keys.load(), asked)
        except Refusal as refusal:
            found = dict.fromkeys(asked, refusal)
        for task in batch:
            values = {name: found[task.run_id, name] for name in names_of(task)}
            refusals = [each for each in values.values() if isinstance(each, Refusal)]
            if refusals:
                refused.append(Result(task, failure(refusals[0])))
            else:
                opened.append(with_values(task, values))
        return opened, refused


def names_of(task: Claimed) -> list[str]:
    return sorted(sealed.names(task.invocation))


def with_values(task: Claimed, values: Mapping[str, Any]) -> Claimed:
    return replace(task, invocation=rules.resolved(task.invocation, values))


def failure(refusal: Refusal) -> Outcome:
    """It never began, and trying again by itself would change nothing."""
    error = f"{refusal}: {refusal.remedy}" if refusal.remedy else str(refusal)
    return Outcome(ending=Ending.FAILED, counted=False, retryable=False, error=error)
