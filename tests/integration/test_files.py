"""Files that attempts left, and what they say about themselves, in the database."""

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from executor.base import Ending, Left, Outcome
from scheduler.domain.tasks import Claimed
from scheduler.filing import Filing
from scheduler.recorder import Result
from scheduler.store import progress, task_files
from tests.support import builders
from tests.support.builders import one

pytestmark = pytest.mark.anyio
ONE = "name: one\ntasks: [{name: only, noop: true}]"


@dataclass
class Hand:
    """A task in somebody's hand."""

    conn: AsyncConnection[Any]
    holder: int
    task: Claimed
    folder: Path

    def left(self, name: str, data: bytes) -> Left:
        path = self.folder / name
        path.write_bytes(data)
        digest = sha256(data).hexdigest()
        return Left(name=name, type=None, size=len(data), digest=digest, path=str(path))

    async def file(self, *files: Left, holder: int | None = None) -> Outcome:
        """What is recorded once the files are stored."""
        filed: list[Result] = []

        def take(results: Sequence[Result]) -> None:
            filed.extend(results)

        filing = Filing(take)
        filing.holder = holder or self.holder
        outcome = Outcome(ending=Ending.SUCCEEDED, files=files)
        result = await filing._store(self.conn, Result(self.task, outcome))
        assert filed == []
        return result.outcome

    async def names(self) -> list[str]:
        rows = await task_files.page(self.conn, self.task.run_id, None, after=0, limit=100)
        return [row["name"] for row in rows]


@pytest.fixture
async def hand(dsn: str, tmp_path: Path) -> AsyncIterator[Hand]:
    async with await builders.engine(dsn) as conn:
        await builders.publish(conn, ONE)
        await builders.start(conn, "one")
        holder = await builders.a_holder(conn)
        [task] = await builders.claimed(conn, holder)
        yield Hand(conn, holder, task, tmp_path)


async def test_the_same_content_is_there_once_however_often_it_is_left(hand: Hand) -> None:
    await hand.file(hand.left("a", b"same"), hand.left("b", b"same"), hand.left("c", b"other"))
    assert await hand.names() == ["a", "b", "c"]
    assert await one(hand.conn, "select count(*) from file_contents") == 2


async def test_storing_files_twice_stores_them_once(hand: Hand) -> None:
    for _ in range(2):
        await hand.file(hand.left("a", b"same"))
    assert await hand.names() == ["a"]


async def test_who_has_not_the_attempt_in_hand_stores_no_file_and_no_progress(hand: Hand) -> None:
    stranger = await builders.a_holder(hand.conn, "stranger")
    await hand.file(hand.left("a", b"x"), holder=stranger)
    key = (hand.task.id, hand.task.attempt)
    assert await progress.tell(hand.conn, stranger, {key: {"progress": 1}}) == []
    late = {(hand.task.id, hand.task.attempt + 1): {"progress": 1}}
    assert await progress.tell(hand.conn, hand.holder, late) == []
    assert await hand.names() == []
    assert await one(hand.conn, "select progress from tasks") is None
    assert await progress.tell(hand.conn, hand.holder, {key: {"progress": 1}}) == [hand.task.run_id]
    assert await one(hand.conn, "select progress from tasks") == {"progress": 1, "attempt": 1}


async def test_a_file_that_is_not_what_was_said_is_left_out_with_a_note(hand: Hand) -> None:
    changed, gone = hand.left("changed", b"x"), hand.left("gone", b"y")
    hand.left("changed", b"z")
    os.unlink(gone.path)
    outcome = await hand.file(changed, gone, hand.left("good", b"good"))
    assert await hand.names() == ["good"]
    assert outcome.detail == {"notes": ["2 of 3 files were gone before they could be stored"]}


async def test_contents_go_when_no_file_has_them_any_more_and_not_before(hand: Hand) -> None:
    await hand.file(hand.left("a", b"shared"), hand.left("b", b"lonely"))
    await hand.conn.execute("update file_contents set used_at = clock_timestamp() - interval '2 h'")
    assert await task_files.sweep(hand.conn) == 0
    await hand.conn.execute("delete from task_files where name = 'b'")
    assert await task_files.sweep(hand.conn) == 1
    await hand.conn.execute("delete from runs")
    assert await task_files.wanted(hand.conn, [sha256(b"shared").hexdigest()]) == []
    assert await task_files.sweep(hand.conn) == 0  # somebody asked for it: a file may follow
