"""Tasks that a worker carries out in its own process: calls over HTTP. They end with it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from executor import http, http_invocation
from executor.base import Ending, Outcome
from executor.http import Policy
from executor.http_invocation import Malformed
from executor.masks import Shared, hide_outcome
from scheduler.domain.tasks import Claimed
from scheduler.store.output import Chunk

KINDS = frozenset({"http"})

Ended = Callable[[str, Outcome, tuple[Chunk, ...]], None]

STOPPED = "stopped on request"
LEFT = "the worker ended while the call was under way; whether it took effect is not known"
LEASED = "the lease ended before the call did; whether it took effect is not known"


@dataclass(slots=True)
class Call:
    """One call in hand. `begun` says that somebody may have heard of it."""

    task: Claimed
    begun: bool = False
    why: tuple[Ending, str] | None = None
    carrying: "asyncio.Task[Outcome] | None" = None


class Calls:
    def __init__(self, policy: Policy, *, slots: int) -> None:
        self._policy = policy
        self._slots = asyncio.Semaphore(slots)
        self._calls: dict[str, Call] = {}
        self._needles = Shared()
        self._none = asyncio.Event()
        self._none.set()
        self._is_leased = True
        self._timer: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> int:
        return len(self._calls)

    def open(self, ended: Ended) -> None:
        self._ended = ended

    def start(self, task: Claimed) -> None:
        call = self._calls[task.key] = Call(task)
        self._none.clear()
        call.carrying = asyncio.create_task(self._carry_out(call), name=f"call {task.key}")
        call.carrying.add_done_callback(partial(self._done, call))
        if not self._is_leased and task.on_lost != "wait":
            self._end(call, Ending.LOST, LEASED)

    def want(self, key: str, what: str) -> None:
        call = self._calls.get(key)
        if call and what in ("stop", "kill"):
            self._end(call, Ending.STOPPED, STOPPED)

    def lease(self, deadline: float) -> None:
        """As a runner does with commands: what may not go on beside another holder ends."""
        self._is_leased = True
        if self._timer is not None:
            self._timer.cancel()
        left = max(0.0, deadline - time.clock_gettime(time.CLOCK_BOOTTIME))
        self._timer = asyncio.get_running_loop().call_later(left, self._end_lease)

    def withdraw(self) -> None:
        """What has not begun goes back; nothing is lost by it."""
        for call in self._waiting():
            self._end(call, Ending.STOPPED, STOPPED)

    async def leave(self, seconds: float) -> None:
        """Wait for what is under way, but not for long: what then is left is lost."""
        self.withdraw()
        try:
            async with asyncio.timeout(seconds):
                await self._none.wait()
        except TimeoutError:
            self._end_all(Ending.LOST, LEFT)
            await self._none.wait()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._end_all(Ending.LOST, LEFT)
        await self._none.wait()

    def _waiting(self) -> list[Call]:
        return [call for call in self._calls.values() if not call.begun]

    def _end_lease(self) -> None:
        self._is_leased = False
        for call in list(self._calls.values()):
            if call.task.on_lost != "wait":
                self._end(call, Ending.LOST, LEASED)

    def _end_all(self, ending: Ending, why: str) -> None:
        for call in list(self._calls.values()):
            self._end(call, ending, why)

    def _end(self, call: Call, ending: Ending, why: str) -> None:
        if call.why is None and call.carrying is not None:
            call.why = ending, why
            call.carrying.cancel()

    async def _carry_out(self, call: Call) -> Outcome:
        async with self._slots:
            call.begun = True
            return await self._call(call.task.invocation)

    def _done(self, call: Call, carried: "asyncio.Task[Outcome]") -> None:
        """Told once, also of one that was cancelled before its first step."""
        outcome = given_up(call) if carried.cancelled() else carried.result()
        del self._calls[call.task.key]
        if not self._calls:
            self._none.set()
        self._ended(call.task.key, outcome, ())

    async def _call(self, given: Mapping[str, Any]) -> Outcome:
        needles = self._needles.of(frozenset(given.get("masks", ())))
        try:
            invocation = http_invocation.read(given)
        except (Malformed, AttributeError, KeyError, TypeError, ValueError) as error:
            return Outcome(ending=Ending.FAILED, error=f"http.{error}", retryable=False)
        hide = needles.hide if needles else http.as_it_is
        return hide_outcome(await http.call(invocation, self._policy, hide), needles)


def given_up(call: Call) -> Outcome:
    """One that nobody has heard of is no loss; nor is one that went down with everything."""
    ending, why = call.why or (Ending.LOST, LEFT)
    if call.begun:
        return Outcome(ending=ending, error=why)
    return Outcome(ending=Ending.STOPPED, error="it had not begun", counted=False)
