"""The agent's book on a disk: what was committed is there, whatever happened since."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.agent.book import Book, Job, MemoryBook, Shut
from edge.agent.store import DiskBook, NoRoom, open_book
from edge.messages import NUMBERED, Began, Ended, Lane, Metrics, Offer, Phase, Verb

WRITER = """
import sys
from pathlib import Path
from edge.agent.store import DiskBook
from edge.messages import Ended, Lane
book = DiskBook(Path(sys.argv[1]))
while True:
    seq = book.add(Lane.RESULTS, Ended("1.1", "SUCCEEDED", 1.0, error="x" * 3000))
    book.put_have(Lane.RESULTS, seq // 2)
    book.commit()
    print(seq, flush=True)
"""


def contents(book: Book) -> object:
    lanes = {
        lane: (book.last(lane), book.have(lane), list(book.items(lane, 0, 999)))
        for lane in NUMBERED
    }
    return book.lineage, book.shut, dict(book.jobs), lanes


def change(book: Book, chance: random.Random) -> None:
    attempt = f"{chance.randrange(4)}.1"
    lane = chance.choice(NUMBERED)
    match chance.randrange(7):
        case 0:
            offer = Offer(attempt, {"argv": ["true", "ü"]}, chance.choice([None, 5.5]))
            verb = chance.choice([None, Verb.STOP])
            book.put_job(Job(offer, Phase.RUNNING, 3, verb, 4, chance.choice([None, 9]), 2))
        case 1 if attempt in book.jobs:
            book.drop_job(attempt)
        case 2:
            book.put_shut(Shut(chance.random() < 0.5, "a filter is changed", chance.randrange(9)))
        case 3:
            book.put_have(lane, min(book.have(lane) + 1, book.last(lane)))
        case 4:
            book.forget(lane, book.have(lane))
        case _:
            book.add(lane, Began(attempt, chance.randrange(9), 1.5))
    book.next_greeting()


@pytest.mark.parametrize("seed", range(3))
def test_a_book_on_a_disk_is_as_one_in_memory_and_loses_only_what_was_not_committed(
    tmp_path: Path, seed: int
) -> None:
    chance, path = random.Random(seed), tmp_path / "agent" / "book"
    disk = DiskBook(path)
    memory = MemoryBook(disk.lineage)
    kept = memory.copy()
    for _ in range(200):
        state = chance.getstate()
        change(disk, chance)
        chance.setstate(state)
        change(memory, chance)
        assert contents(disk) == contents(memory)
        match chance.randrange(6):
            case 0:
                disk.commit()
                kept = memory.copy()
            case 1:
                disk.close()
                disk, memory = DiskBook(path), kept.copy()
                assert contents(disk) == contents(memory)
                assert disk.greeting == memory.greeting
    disk.close()


@pytest.mark.parametrize("count", [1, 7, 60])
def test_what_was_said_to_be_written_survives_the_end_of_the_writer(
    tmp_path: Path, count: int
) -> None:
    path = tmp_path / "book"
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(count)]
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().split()]
    book = DiskBook(path)
    found = [seq for seq, _ in book.items(Lane.RESULTS, 0, 10**6)]
    assert found == list(range(1, book.last(Lane.RESULTS) + 1))
    assert book.last(Lane.RESULTS) in (said[-1], said[-1] + 1)
    assert book.have(Lane.RESULTS) == book.last(Lane.RESULTS) // 2
    book.close()


def test_a_full_disk_takes_a_whole_transaction_or_nothing_of_it(tmp_path: Path) -> None:
    book = DiskBook(tmp_path / "book")
    book.add(Lane.EVENTS, Began("1.1", 7, 1.0))
    book.commit()
    before = contents(book)
    [pages] = book.db.execute("pragma page_count").fetchone()
    book.db.execute(f"pragma max_page_count = {pages + 2}")
    with pytest.raises(NoRoom, match="full"):
        add_many(book)
    assert contents(book) == before
    book.db.execute("pragma max_page_count = 100000")
    assert book.add(Lane.RESULTS, Ended("1.1", "FAILED", 1.0)) == 1
    book.commit()
    book.close()


def add_many(book: Book) -> None:
    for number in range(50):
        book.add(Lane.RESULTS, Ended(f"{number}.1", "FAILED", 1.0, error="x" * 5000))


def test_a_disk_that_may_not_be_written_is_told_as_one(tmp_path: Path) -> None:
    book = DiskBook(tmp_path / "book")
    book.db.execute("pragma query_only = on")
    with pytest.raises(NoRoom, match="readonly"):
        book.add(Lane.EVENTS, Began("1.1", 7, 1.0))
    assert book.last(Lane.EVENTS) == 0
    book.close()


@pytest.mark.parametrize("damage", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_book_is_put_aside_and_another_begun(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "book"
    first = DiskBook(path)
    lineage = first.lineage
    first.close()
    path.write_bytes(damage)
    opened = open_book(path)
    assert opened.book.lineage != lineage
    assert opened.put_aside is not None
    assert opened.put_aside.read_bytes() == damage
    opened.book.close()


def test_a_book_of_another_form_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "book"
    DiskBook(path).close()
    db = sqlite3.connect(path)
    db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(RuntimeError, match="its form is 99"):
        open_book(path)
    assert [each.name for each in tmp_path.iterdir()] == ["book"]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    DiskBook(tmp_path / "agent" / "book").close()
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "agent" / "book").stat().st_mode & 0o777 == 0o600


def test_what_waits_to_be_sent_is_counted_without_measures_and_what_the_server_has(
    tmp_path: Path,
) -> None:
    book = DiskBook(tmp_path / "book.db")
    assert book.waiting() == (0, 0, None)
    for attempt in ("1.1", "2.1", "3.1"):
        book.add(Lane.RESULTS, Ended(attempt, "SUCCEEDED", 1.0))
    book.add(Lane.EVENTS, Began("4.1", 7, 1.0))
    book.add(Lane.METRICS, Metrics(1.0, {"cpu": 0.5}))
    book.put_have(Lane.RESULTS, 2)
    book.commit()
    items, size, oldest = book.waiting()
    assert (items, 100 < size < 1000) == (2, True)
    assert oldest is not None
    assert oldest <= time.time()
