"""Group commit of outcomes and output: the next batch forms while a commit is in flight.

Nothing leaves the queue before its commit is known, so a lost connection loses nothing; what a
lost answer had committed after all is recognised and not written twice.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, DataError, errors

from executor.base import Ending, Outcome
from scheduler.domain.board import Board
from scheduler.domain.tasks import Claimed
from scheduler.domain.wakes import Wake
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import attempts, output, progress, runs, tasks
from scheduler.store.output import Chunk
from scheduler.store.tasks import Recorded, Success

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger(__name__)

MOST = 500
LINGER = 0.010  # under load; what comes one at a time is committed at once
CONTENDED = (errors.DeadlockDetected, errors.SerializationFailure)
UNSTORABLE = (DataError, errors.ProgramLimitExceeded, UnicodeEncodeError)

Conn = AsyncConnection[Any]
Progress = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome on its way to the database, with the output that goes along."""

    task: Claimed
    outcome: Outcome
    chunks: tuple[Chunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """How many successors may stay in hand, none less urgent than `best`, of which queues."""

    most: int
    best: int
    queues: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the worker wants to know, and is asked."""

    keep: Callable[[int], Keep]
    recorded: Callable[[Sequence[Result]], None]
    taken: Callable[[Keep, Sequence[Claimed]], None]  # answers every `keep`
    stored: Callable[[Sequence[Chunk]], None]
    wake: Callable[[Wake], None]


class Recorder:
    def __init__(self, catalog: Catalog, hooks: Hooks) -> None:
        self.holder = 0
        self._catalog = catalog
        self._hooks = hooks
        self._results: list[Result] = []
        self._chunks: list[Chunk] = []
        self._progress: dict[tuple[int, int], Progress] = {}  # by task and attempt
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_doubt = False  # an answer was lost: what we hold may be stored already

    def submit(self, results: Sequence[Result]) -> None:
        self._results += results
        self._idle.clear()
        self._arrived.set()

    def store(self, chunks: Sequence[Chunk]) -> None:
        self._chunks += chunks
        self._idle.clear()
        self._arrived.set()

    def tell(self, task: Claimed, said: Progress) -> None:
        """What an attempt says about itself; of what waits here only the last counts."""
        self._progress[task.id, task.attempt] = said
        self._idle.clear()
        self._arrived.set()

    @property
    def backlog(self) -> int:
        return len(self._results)

    async def drained(self) -> None:
        await self._idle.wait()

    async def work(self, conn: Conn) -> None:
        """Commit what comes, for as long as the connection lives."""
        while True:
            await self._arrived.wait()
            if self._in_doubt:
                await self._drop_stored(conn)
            self._in_doubt = True
            await self._tell(conn)
            batch, chunks = self._results[:MOST], self._chunks[:MOST]
            await self._commit(conn, batch, chunks)
            self._in_doubt = False
            del self._results[: len(batch)], self._chunks[: len(chunks)]
            self._hooks.stored(chunks)
            self._hooks.recorded(batch)
            if not self._results and not self._chunks and not self._progress:
                self._arrived.clear()
                self._idle.set()
            elif len(batch) > 1 and len(self._results) < MOST // 2:
                await asyncio.sleep(LINGER)

    async def _tell(self, conn: Conn) -> None:
        """Before the results, which end what may be said. Twice does no harm."""
        if not self._progress:
            return
        said = dict(self._progress)
        wake = Wake()
        wake.add(runs=await progress.tell(conn, self.holder, said))
        for key, each in said.items():
            if self._progress[key] is each:
                del self._progress[key]
        self._hooks.wake(wake)

    async def _commit(self, conn: Conn, batch: Sequence[Result], chunks: Sequence[Chunk]) -> None:
        if chunks:
            await output.append(conn, self.holder, chunks)
        await self._record(conn, batch)

    async def _record(self, conn: Conn, batch: Sequence[Result]) -> None:
        """Record a batch; one that cannot be stored whole is halved until it can."""
        if not batch:
            return
        try:
            await self._once(conn, batch)
        except CONTENDED:
            await roll_back(conn)
            await self._once_more(conn, batch)
        except UNSTORABLE as error:
            await roll_back(conn)
            await self._halve(conn, batch, error)

    async def _once_more(self, conn: Conn, batch: Sequence[Result]) -> None:
        try:
            await self._once(conn, batch)
        except CONTENDED as error:
            await roll_back(conn)
            if len(batch) == 1:
                log.warning("contended again", extra={"task": batch[0].task.id})
                await asyncio.sleep(LINGER)
            await self._halve(conn, batch, error)

    async def _halve(self, conn: Conn, batch: Sequence[Result], error: Exception) -> None:
        if len(batch) == 1:
            contended = isinstance(error, CONTENDED)
            await self._record(conn, batch if contended else [unstorable(batch[0], error)])
            return
        middle = len(batch) // 2
        await self._record(conn, batch[:middle])
        await self._record(conn, batch[middle:])

    async def _once(self, conn: Conn, batch: Sequence[Result]) -> None:
        plain = [each for each in batch if each.outcome.ending is Ending.SUCCEEDED]
        rest = [each for each in batch if each.outcome.ending is not Ending.SUCCEEDED]
        if plain:
            done = await self._record_plain(conn, plain)
            rest += [each for each in plain if each.task.id not in done.closed]
            self._announce(plain, done)
        if rest:
            self._hooks.wake(await self._record_judged(conn, rest))

    async def _record_plain(self, conn: Conn, batch: Sequence[Result]) -> Recorded:
        keep = self._hooks.keep(len(batch))
        taken: Sequence[Claimed] = ()
        try:
            done = await self._pipelined(conn, batch, keep)
            taken = done.taken
        finally:
            self._hooks.taken(keep, taken)
        return done

    async def _pipelined(self, conn: Conn, batch: Sequence[Result], keep: Keep) -> Recorded:
        """The whole transaction in one round trip: what is sent together commits together."""
        chunks = [chunk for each in batch for chunk in each.chunks]
        values = tasks.record_values(
            self.holder,
            [as_success(each) for each in batch],
            keep=keep.most,
            best=keep.best,
            queues=keep.queues,
        )
        async with conn.pipeline():
            await conn.execute(runs.RUNS["lock"], {"ids": values["runs"]})
            if chunks:
                await output.append(conn, self.holder, chunks)
            cursor = await conn.execute(tasks.TASKS["record"], values)
        return tasks.recorded(await cursor.fetchone())

    def _announce(self, batch: Sequence[Result], done: Recorded) -> None:
        wake = Wake()
        wake.add(
            runs=(each.task.run_id for each in batch if each.task.id in done.closed),
            queues=done.readied,
            due=bool(done.unsettled or done.limited or done.freed),
        )
        self._hooks.wake(wake)

    async def _record_judged(self, conn: Conn, batch: Sequence[Result]) -> Wake:
        by_run: dict[UUID, list[Result]] = {}
        for each in batch:
            by_run.setdefault(each.task.run_id, []).append(each)
        async with conn.transaction():
            await runs.lock(conn, sorted(by_run))
            chunks = [chunk for each in batch for chunk in each.chunks]
            if chunks:
                await output.append(conn, self.holder, chunks)
            known = await attempts.known(
                conn, self.holder, [(each.task.id, each.task.attempt) for each in batch]
            )

            def decide(board: Board) -> None:
                for each in by_run[board.run.id]:
                    self._decide(board, each, known)

            return await judge(conn, self._catalog, sorted(by_run), decide, by="worker")

    def _decide(self, board: Board, each: Result, known: dict[tuple[int, int], str]) -> None:
        task, outcome = each.task, each.outcome
        if (task.id, task.attempt) in known:
            if known[task.id, task.attempt] != outcome.ending:
                board.late(task.id, task.attempt, outcome)
        elif not board.record(task.id, task.attempt, self.holder, outcome):
            board.late(task.id, task.attempt, outcome)

    async def _drop_stored(self, conn: Conn) -> None:
        """After a lost answer: leave out the output that was stored after all."""
        held = [*self._chunks, *(chunk for each in self._results for chunk in each.chunks)]
        keys = sorted({(chunk.task_id, chunk.attempt) for chunk in held})
        if not keys:
            return
        ends = {(e.task_id, e.attempt): e.stored for e in await output.ends(conn, keys)}
        self._chunks = beyond(self._chunks, ends)
        self._results = [
            replace(each, chunks=tuple(beyond(each.chunks, ends))) for each in self._results
        ]


def beyond(chunks: Sequence[Chunk], ends: dict[tuple[int, int], int]) -> list[Chunk]:
    kept = []
    for chunk in chunks:
        stored = ends[chunk.task_id, chunk.attempt] - chunk.start
        if stored <= 0:
            kept.append(chunk)
        elif stored < len(chunk.data):
            kept.append(replace(chunk, start=chunk.start + stored, data=chunk.data[stored:]))
    return kept


def as_success(result: Result) -> Success:
    task, outcome = result.task, result.outcome
    detail = None if outcome.detail is None else json.dumps(outcome.detail)
    return Success(task.run_id, task.id, task.attempt, outcome.exit_code, outcome.output, detail)


def unstorable(result: Result, error: Exception) -> Result:
    """A result that the database refuses still has an end that can be recorded."""
    log.error("result cannot be stored", extra={"task": result.task.id, "error": str(error)})
    outcome = Outcome(
        ending=Ending.FAILED,
        exit_code=result.outcome.exit_code,
        error="the task ended, but its result cannot be stored: "
        + str(error).strip().splitlines()[0].encode("ascii", "backslashreplace").decode(),
        retryable=False,
    )
    return Result(result.task, outcome)


async def roll_back(conn: Conn) -> None:
    await conn.rollback()
