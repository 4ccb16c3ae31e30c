"""What workers say, into the database: in groups, the next of which forms while one is committed.

All that one frame says is in one transaction, with that of other frames. Nothing leaves the queue
before its commit is known; what a lost answer had committed after all is recognised.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor, Error, IntegrityError

from edge.remote.desk import Said
from edge.remote.messages import Forget, FromServer
from executor.base import Ending, Outcome
from scheduler.domain.board import Board
from scheduler.domain.wakes import Wake
from scheduler.recorder import CONTENDED, LINGER, beyond
from scheduler.recorder import UNSTORABLE as UNFIT
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import attempts, output, progress, remote, runs, tasks
from scheduler.store.output import Chunk
from scheduler.store.tasks import Success

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]
Key: TypeAlias = tuple[int, int]

UNSTORABLE = (*UNFIT, IntegrityError)
MOST = 1_000  # closings of one transaction, and more only if one frame has more
BACKLOG = 5_000  # closings: who has more to say is not listened to for a while
MOST_CHARACTERS = 16 << 20  # of the frames of one transaction
MOST_HELD = 64 << 20  # characters of frames: as with a backlog


@dataclass(frozen=True, slots=True)
class Closing:
    """An attempt that comes to an end; None: it is handed back."""

    run: UUID
    key: Key
    holder: int
    outcome: Outcome | None

    @property
    def is_plain(self) -> bool:
        return self.outcome is not None and self.outcome.ending is Ending.SUCCEEDED


@dataclass(slots=True)
class Word:
    """What one frame of one worker says. `done` is called when it is committed."""

    holder: int
    name: str
    done: Callable[["Word"], None]
    closings: list[Closing] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    progress: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    drains: bool = False
    leaves: bool = False
    runs: set[UUID] = field(default_factory=set)  # that have news beside those that are closed
    said: list[Said] = field(default_factory=list)  # of workflows, in its order
    answers: list[FromServer] = field(default_factory=list)  # to it, once it is committed
    given_up: list[str] = field(default_factory=list)  # attempts that are not in its hand any more
    brings: bool = False  # whether what it calls may be code of its own
    size: int = 0  # characters of its frame

    def __bool__(self) -> bool:
        return bool(
            self.closings or self.chunks or self.progress or self.said or self.drains or self.leaves
        )

    @property
    def is_plain(self) -> bool:
        """Successes, output and progress: they go the short way, and steps of workflows may."""
        is_more = self.drains or self.leaves
        return not is_more and all(each.is_plain for each in self.closings)


class Workflows(Protocol):
    """Whoever sees to what programs say of their workflows."""

    async def hear(self, conn: Conn, words: Sequence[Word], wake: Wake) -> None:
        """Keep what is `said`, and put what is to be told into `answers`. It may be called again
        with the same words, after a transaction that came to nothing or whose answer was lost: so
        `answers` and `given_up` are empty when it is called. Their runs are locked, and the ends of
        the same words are recorded afterwards, in the same transaction."""

    def locks(self, words: Sequence[Word]) -> set[UUID]:
        """The runs that have to be locked for what is `said`, with those of all ends."""

    def plain(self, words: Sequence[Word]) -> Any:
        """None if somebody has to look at what is `said`; else what `write` is to write."""

    async def write(self, conn: Conn, notes: Any) -> AsyncCursor[Any]:
        """In a pipeline: nothing is read yet."""

    def written(self, notes: Any, rows: Sequence[Sequence[Any]], wake: Wake) -> None:
        """Put what is to be told into `answers`, from the rows of `write`."""


class Recorder:
    def __init__(
        self, catalog: Catalog, say: Callable[[Wake], None], workflows: Workflows | None = None
    ) -> None:
        self._catalog, self._say, self._workflows = catalog, say, workflows
        self._words: list[Word] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._held = 0  # characters of frames
        self._in_doubt = False  # an answer was lost: what we hold may be stored already

    def submit(self, word: Word) -> None:
        self._words.append(word)
        self._held += word.size
        self._arrived.set()
        if self.backlog > BACKLOG or self._held > MOST_HELD:
            self._room.clear()

    @property
    def backlog(self) -> int:
        return sum(weight(each) for each in self._words)

    async def has_room(self) -> None:
        """Who speaks waits here while more is said than can be written."""
        await self._room.wait()

    async def work(self, conn: Conn) -> None:
        while True:
            await self._arrived.wait()
            batch = first(self._words)
            if self._in_doubt:
                await drop_stored(conn, batch)
            self._in_doubt = True
            await self._commit(conn, batch)
            self._in_doubt = False
            del self._words[: len(batch)]
            self._held -= sum(word.size for word in batch)
            for word in batch:
                word.done(word)
            if self.backlog <= BACKLOG // 2 and self._held <= MOST_HELD // 2:
                self._room.set()
            if not self._words:
                self._arrived.clear()
            elif len(batch) > 1 and self.backlog < MOST // 2:
                await asyncio.sleep(LINGER)

    async def _once(self, conn: Conn, batch: Sequence[Word]) -> Wake:
        for word in batch:
            word.answers.clear()
            word.given_up.clear()
        return await commit(conn, self._catalog, batch, self._workflows)

    async def _commit(self, conn: Conn, batch: Sequence[Word]) -> None:
        """A batch that cannot be stored whole is halved until it can."""
        try:
            self._say(await self._once(conn, batch))
        except Exception as error:  # the rim: whatever one of them says harms no other
            if not isinstance(error, CONTENDED) and not is_of_words(error):
                raise
            await conn.rollback()
            await self._in_parts(conn, batch, error)

    async def _in_parts(self, conn: Conn, batch: Sequence[Word], error: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._commit(conn, batch[:middle])
            await self._commit(conn, batch[middle:])
        elif isinstance(error, CONTENDED):
            await asyncio.sleep(LINGER)
            await self._commit(conn, batch)
        else:
            await self._commit_one_by_one(conn, batch[0], error)

    async def _commit_one_by_one(self, conn: Conn, word: Word, error: Exception) -> None:
        """One thing of the frame cannot be stored: the others still are, and the attempt that it is
        of has an end that can be."""
        log.error("what a worker says cannot be stored", exc_info=error)
        for each in pieces(word):
            try:
                self._say(await self._once(conn, [each]))
            except Exception as reason:
                if not is_of_words(reason):
                    raise
                await conn.rollback()
                if spoilt := unsaid(each, reason):
                    self._say(await self._once(conn, [spoilt]))
            word.answers += each.answers
            word.given_up += each.given_up


def first(words: Sequence[Word]) -> list[Word]:
    """As many as go together."""
    found, many, size = list[Word](), 0, 0
    for word in words:
        many, size = many + weight(word), size + word.size
        if found and (many > MOST or size > MOST_CHARACTERS):
            break
        found.append(word)
    return found


def is_of_words(error: Exception) -> bool:
    """Whether it comes of what was said, and not of the database."""
    return isinstance(error, UNSTORABLE) or not isinstance(error, Error)


def weight(word: Word) -> int:
    return len(word.closings) + len(word.chunks) + len(word.said) + len(word.progress)


def pieces(word: Word) -> list[Word]:
    """What can be stored without the rest, in the order in which it belongs."""

    def piece(closings: Sequence[Closing] = (), said: Sequence[Said] = ()) -> Word:
        alone = Word(word.holder, word.name, word.done, list(closings), said=list(said))
        return replace(alone, brings=word.brings)

    told = replace(word, closings=[], said=[], answers=[], given_up=[], leaves=False)
    ends = replace(piece(), leaves=word.leaves)
    of_flows = [piece(said=[each]) for each in word.said]
    return [told, *of_flows, *(piece([each]) for each in word.closings), ends]


def unsaid(word: Word, error: Exception) -> Word | None:
    """Whatever a piece was of has failed; None for what is of no attempt."""
    failed = unstorable(error)
    closings = [replace(each, outcome=failed) for each in word.closings]
    for each in word.said:
        key = tuple(map(int, each.hand.attempt.split(".")))
        closings.append(Closing(each.hand.run, (key[0], key[1]), word.holder, failed))
        word.answers.append(Forget(each.hand.attempt))
        word.given_up.append(each.hand.attempt)
    return Word(word.holder, word.name, word.done, closings) if closings else None


def unstorable(error: Exception) -> Outcome:
    said = str(error).strip() or type(error).__name__
    reason = said.splitlines()[0].encode("ascii", "backslashreplace").decode()
    return Outcome(
        ending=Ending.FAILED,
        error=f"the task ended, but its result cannot be stored: {reason}",
        retryable=False,
    )


async def commit(
    conn: Conn, catalog: Catalog, words: Sequence[Word], workflows: Workflows | None = None
) -> Wake:
    """One transaction for all of them."""
    wake = Wake()
    await tell(conn, words, wake)
    closings = once([each for word in words for each in word.closings])
    said = [each for each in words if each.said] if workflows is not None else []
    notes = workflows.plain(said) if workflows is not None and said else None
    if all(each.is_plain for each in words) and (notes is not None or not said):
        async with conn.pipeline(), conn.transaction():
            cursors = await record_plainly(conn, words, closings)
            steps = await workflows.write(conn, notes) if workflows is not None and said else None
        if workflows is not None and steps is not None:
            workflows.written(notes, await steps.fetchall(), wake)
        missed = await missed_of(cursors, closings, wake)
        if missed:
            async with conn.transaction():
                await runs.lock(conn, sorted({each.run for each in missed}))
                await record_judged(conn, catalog, missed, words[0].name, wake)
        return wake
    async with conn.transaction():
        locked = {each.run for each in closings}
        locked |= workflows.locks(said) if workflows is not None else set()
        await runs.lock(conn, sorted(locked))
        if workflows is not None and said:
            await workflows.hear(conn, said, wake)
            closings = once([each for word in words for each in word.closings])
        await store(conn, words)
        plain = [each for each in closings if each.is_plain]
        closed = await record_plain(conn, plain, wake)
        rest = [each for each in closings if each.key[0] not in closed]
        await record_judged(conn, catalog, rest, words[0].name, wake)
        for word in words:
            if word.leaves:
                await remote.retire(conn, word.holder)
            elif word.drains:
                await remote.drain(conn, word.holder)
    return wake


def once(closings: Iterable[Closing]) -> list[Closing]:
    """A worker that came back says again what nobody has acknowledged yet."""
    found: dict[tuple[int, Key], Closing] = {}
    for each in closings:
        found.setdefault((each.holder, each.key), each)
    return list(found.values())


async def tell(conn: Conn, words: Sequence[Word], wake: Wake) -> None:
    """What attempts say of themselves, before their results, which end what may be said. Nothing
    else is locked meanwhile, and twice does no harm."""
    said: dict[int, dict[Key, Mapping[str, Any]]] = {}
    for word in words:
        if word.progress:
            said.setdefault(word.holder, {}).update(word.progress)
        wake.add(runs=word.runs)
    for holder, each in said.items():
        wake.add(runs=await progress.tell(conn, holder, each))


async def store(conn: Conn, words: Iterable[Word]) -> None:
    by_holder: dict[int, list[Chunk]] = {}
    for word in words:
        if word.chunks:
            by_holder.setdefault(word.holder, []).extend(word.chunks)
    for holder, chunks in by_holder.items():
        await output.append(conn, holder, joined(chunks))


def joined(chunks: Iterable[Chunk]) -> list[Chunk]:
    """What follows on each other is one row, however it came: somebody may print by the letter."""
    found: list[Chunk] = []
    last: dict[Key, int] = {}
    parts: dict[int, list[bytes]] = {}
    ends: dict[Key, int] = {}
    for each in chunks:
        key = each.task_id, each.attempt
        if key not in last or ends[key] != each.start:
            last[key] = len(found)
            found.append(each)
        parts.setdefault(last[key], []).append(each.data)
        ends[key] = each.start + len(each.data)
    return [replace(each, data=b"".join(parts[place])) for place, each in enumerate(found)]


async def record_plainly(
    conn: Conn, words: Sequence[Word], closings: Sequence[Closing]
) -> list[AsyncCursor[Any]]:
    """Successes and output, in a pipeline: nothing is read yet."""
    if closings:
        await conn.execute(runs.RUNS["lock"], {"ids": sorted({each.run for each in closings})})
    await store(conn, words)
    return [
        await conn.execute(tasks.TASKS["record"], values(holder, batch))
        for holder, batch in of_holders(closings).items()
    ]


async def missed_of(
    cursors: Iterable[AsyncCursor[Any]], closings: Sequence[Closing], wake: Wake
) -> list[Closing]:
    """What the guard of the short way left out."""
    closed = set[int]()
    for cursor in cursors:
        closed |= noted(tasks.recorded(await cursor.fetchone()), closings, wake)
    return [each for each in closings if each.key[0] not in closed]


async def record_plain(conn: Conn, closings: Sequence[Closing], wake: Wake) -> set[int]:
    closed = set[int]()
    for holder, batch in of_holders(closings).items():
        cursor = await conn.execute(tasks.TASKS["record"], values(holder, batch))
        closed |= noted(tasks.recorded(await cursor.fetchone()), batch, wake)
    return closed


def of_holders(closings: Iterable[Closing]) -> dict[int, list[Closing]]:
    found: dict[int, list[Closing]] = {}
    for each in closings:
        found.setdefault(each.holder, []).append(each)
    return found


def values(holder: int, batch: Sequence[Closing]) -> dict[str, Any]:
    return tasks.record_values(holder, [success(e) for e in batch], keep=0, best=0, queues=())


def success(closing: Closing) -> Success:
    outcome = closing.outcome
    assert outcome is not None
    detail = None if outcome.detail is None else json.dumps(outcome.detail)
    return Success(closing.run, *closing.key, outcome.exit_code, outcome.output, detail)


def noted(done: tasks.Recorded, closings: Sequence[Closing], wake: Wake) -> frozenset[int]:
    wake.add(
        runs=(each.run for each in closings if each.key[0] in done.closed),
        queues=done.readied,
        due=bool(done.unsettled or done.limited or done.freed),
    )
    return done.closed


async def record_judged(
    conn: Conn, catalog: Catalog, closings: Sequence[Closing], name: str, wake: Wake
) -> None:
    """Their runs are locked by the caller."""
    if not closings:
        return
    by_run: dict[UUID, list[Closing]] = {}
    for each in closings:
        by_run.setdefault(each.run, []).append(each)
    known: dict[Key, str] = {}
    for holder, batch in of_holders(closings).items():
        known |= await attempts.known(conn, holder, [each.key for each in batch])

    def decide(board: Board) -> None:
        for each in by_run[board.run.id]:
            close(board, each, known)

    wake.merge(await judge(conn, catalog, sorted(by_run), decide, by=f"worker {name}"))


def close(board: Board, closing: Closing, known: Mapping[Key, str]) -> None:
    (task, attempt), outcome = closing.key, closing.outcome
    if task not in board.by_id:
        return
    if outcome is None:
        board.hand_back(task, attempt, closing.holder)
    elif closing.key in known:
        if known[closing.key] != outcome.ending:
            board.late(task, attempt, outcome)
    elif not board.record(task, attempt, closing.holder, outcome):
        board.late(task, attempt, outcome)


async def drop_stored(conn: Conn, words: Iterable[Word]) -> None:
    """After a lost answer: leave out the output that was stored after all."""
    for word in words:
        if not word.chunks:
            continue
        keys = sorted({(each.task_id, each.attempt) for each in word.chunks})
        ends = {(e.task_id, e.attempt): e.stored for e in await output.ends(conn, keys)}
        word.chunks = beyond(word.chunks, ends)
