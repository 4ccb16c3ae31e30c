"""What a worker carries tasks out with: its runner, its own process, or nothing at all."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

from executor import link as runner
from executor import python_call
from executor.base import Invocation, Limits, Outcome
from executor.link import RunnerLink
from scheduler import calls
from scheduler.calls import Calls
from scheduler.domain.tasks import Claimed
from scheduler.store.output import Chunk

Ended = Callable[[str, Outcome, tuple[Chunk, ...]], None]
Printed = Callable[[Sequence[Chunk]], None]
Told = Callable[[str, Mapping[str, Any]], None]  # what an attempt says about itself
# Told the incarnation and the attempts that are known here, answers which of them are still
# wanted, and up to where their output is stored.
Meet = Callable[[str, Collection[str]], Awaitable[Mapping[str, int]]]

Want = Literal["stop", "kill", "freeze", "thaw"]

STREAMS = {"out": 1, "err": 2}


class Hands(Protocol):
    @property
    def busy(self) -> int:
        """How many tasks were begun and have not ended."""

    def outlives_us(self, kind: str) -> bool:
        """Whether work of this kind goes on when the worker has ended."""

    async def open(self, meet: Meet, ended: Ended, printed: Printed, told: Told) -> None:
        """Find out what a former life left, and go on with what is still wanted of it."""

    def start(self, task: Claimed) -> None: ...
    def want(self, key: str, what: Want) -> None: ...
    def lease(self, deadline: float, *, grace: float) -> None: ...
    def stored(self, chunks: Sequence[Chunk]) -> None: ...
    def acknowledge(self, keys: Sequence[str]) -> None: ...
    def stop_all(self) -> None: ...
    async def leave(self, seconds: float) -> None:
        """See to the end of what ends with us, for so long at most."""

    async def gone(self) -> None:
        """Waits until there is nothing to carry commands out with any more."""

    async def close(self) -> None: ...


class NoHands:
    """For work that needs no commands: benchmarks, tests, flows of no-ops."""

    busy = 0

    def outlives_us(self, kind: str) -> bool:
        return True

    async def open(self, meet: Meet, ended: Ended, printed: Printed, told: Told) -> None:
        await meet(uuid4().hex, ())

    def start(self, task: Claimed) -> None:
        raise RuntimeError(f"task {task.id} is a {task.kind}, and there is no runner")

    def want(self, key: str, what: Want) -> None: ...
    def lease(self, deadline: float, *, grace: float) -> None: ...
    def stored(self, chunks: Sequence[Chunk]) -> None: ...
    def acknowledge(self, keys: Sequence[str]) -> None: ...
    def stop_all(self) -> None: ...
    async def leave(self, seconds: float) -> None: ...
    async def gone(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None: ...


class RunnerHands:
    """Commands through the runner of one spool folder."""

    def __init__(self, spool: Path, *, slots: int) -> None:
        self._spool = spool
        self._slots = slots
        self._begun: set[str] = set()
        self._link: RunnerLink | None = None

    @property
    def busy(self) -> int:
        return len(self._begun)

    def outlives_us(self, kind: str) -> bool:
        return True

    async def open(self, meet: Meet, ended: Ended, printed: Printed, told: Told) -> None:
        self._ended, self._printed = ended, printed
        await runner.ensure_runner(self._spool, slots=self._slots)
        unwanted: set[str] = set()

        async def offsets(hello: runner.Hello) -> Mapping[str, int]:
            wanted = await meet(hello.incarnation, hello.keys)
            unwanted.update(hello.keys - wanted.keys())
            self._begun.update(wanted.keys() - hello.ended.keys())
            return wanted

        self._link = await RunnerLink.connect(
            self._spool,
            on_ended=self._on_ended,
            on_output=self._on_output,
            on_progress=told,
            offsets=offsets,
        )
        for key in unwanted:
            self._link.kill(key)

    @property
    def link(self) -> RunnerLink:
        if self._link is None:
            raise RuntimeError("the hands are not open")
        return self._link

    def start(self, task: Claimed) -> None:
        self._begun.add(task.key)
        self.link.start(task.key, invocation_of(task))

    def want(self, key: str, what: Want) -> None:
        if key in self._begun:
            getattr(self.link, what)(key)

    def lease(self, deadline: float, *, grace: float) -> None:
        self.link.lease(deadline, grace=grace)

    def stored(self, chunks: Sequence[Chunk]) -> None:
        ends = {f"{c.task_id}.{c.attempt}": c.start + len(c.data) for c in chunks}
        for key, end in ends.items():
            self.link.received(key, end)  # of ended ones too: what they still send needs room

    def acknowledge(self, keys: Sequence[str]) -> None:
        if keys:
            self.link.acknowledge(keys)

    def stop_all(self) -> None:
        for key in self._begun:
            self.link.stop(key)
        self.link.bye(stop_commands=True)

    async def leave(self, seconds: float) -> None:
        """Commands are the runner's."""

    async def gone(self) -> None:
        await self.link.wait_closed()

    async def close(self) -> None:
        if self._link:
            await self._link.close()

    def _on_ended(self, ended: runner.Ended) -> None:
        self._begun.discard(ended.key)
        self._ended(ended.key, ended.outcome, tuple(as_stored(chunk) for chunk in ended.chunks))

    def _on_output(self, chunk: runner.Chunk) -> None:
        self._printed([as_stored(chunk)])


class BothHands:
    """Calls in this process, everything else as a command; they are counted together."""

    def __init__(self, commands: Hands, calls: Calls) -> None:
        self._commands = commands
        self._calls = calls

    @property
    def busy(self) -> int:
        return self._commands.busy + self._calls.busy

    def outlives_us(self, kind: str) -> bool:
        return kind not in calls.KINDS

    async def open(self, meet: Meet, ended: Ended, printed: Printed, told: Told) -> None:
        self._calls.open(ended)
        await self._commands.open(meet, ended, printed, told)

    def start(self, task: Claimed) -> None:
        (self._calls if task.kind in calls.KINDS else self._commands).start(task)

    def want(self, key: str, what: Want) -> None:
        self._calls.want(key, what)
        self._commands.want(key, what)

    def lease(self, deadline: float, *, grace: float) -> None:
        self._calls.lease(deadline)
        self._commands.lease(deadline, grace=grace)

    def stored(self, chunks: Sequence[Chunk]) -> None:
        self._commands.stored(chunks)

    def acknowledge(self, keys: Sequence[str]) -> None:
        self._commands.acknowledge(keys)

    def stop_all(self) -> None:
        self._calls.withdraw()
        self._commands.stop_all()

    async def leave(self, seconds: float) -> None:
        await self._calls.leave(seconds)

    async def gone(self) -> None:
        await self._commands.gone()

    async def close(self) -> None:
        await self._calls.close()
        await self._commands.close()


def as_stored(chunk: runner.Chunk) -> Chunk:
    task, attempt = chunk.key.split(".")
    return Chunk(
        task_id=int(task),
        attempt=int(attempt),
        start=chunk.offset,
        stream=STREAMS[chunk.stream],
        data=chunk.data,
    )


def invocation_of(task: Claimed) -> Invocation:
    given: dict[str, Any] = dict(task.invocation)
    if task.kind == "python":
        given = python_call.invocation(**given)
    limits = given.pop("limits", None)
    env = {
        **(given.pop("env", None) or {}),
        "PROCESSION_RUN": str(task.run_id),
        "PROCESSION_TASK": task.name,
    }
    return Invocation(**given, env=env, limits=Limits(**limits) if limits else None)
