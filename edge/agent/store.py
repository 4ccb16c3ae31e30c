"""The book on a disk: one SQLite file, written in the order in which things are decided.

Everything between two commits is one transaction, and a commit is on the disk when it returns (WAL,
synchronous FULL). A file that SQLite finds damaged is put aside, never thrown away, and a new book
with a lineage of its own begins.
"""

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import wire
from edge.agent.book import Job, Left, Shut
from edge.messages import NUMBERED, Body, Lane, Phase, Verb

SCHEMA = """
create table if not exists facts (name text primary key, value) without rowid;
create table if not exists jobs (
  attempt text primary key, offer text not null, phase text not null, command integer not null,
  wanted text, result integer, printed integer, stored integer not null
) without rowid;
create table if not exists items (
  lane integer, seq integer, body text not null, at real not null, primary key (lane, seq)
) without rowid;
create table if not exists files (
  attempt text, number integer, name text not null, size integer not null, digest text not null,
  place text not null, kind text, stored integer not null, primary key (attempt, number)
) without rowid;
create table if not exists lanes (
  lane integer primary key, last integer not null, have integer not null
) without rowid;
"""
CACHE = 512  # KiB of pages
FORM = 1  # of the file; another one is not understood


class NoRoom(OSError):
    """The disk does not take what has to be written: nothing of the transaction is kept."""


@dataclass(frozen=True, slots=True)
class Opened:
    book: "DiskBook"
    put_aside: Path | None  # a damaged one that was here before


def open_book(path: Path, make_room: Callable[[], bool] = lambda: False) -> Opened:
    """`make_room`: whether there is some now, where the disk had none."""
    try:
        return Opened(DiskBook(path), None)
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            if isinstance(error, sqlite3.OperationalError) and make_room():
                return open_book(path)
            raise
    aside = put_aside(path)
    return Opened(DiskBook(path), aside)


def is_damaged(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorname.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def put_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    os.replace(path, aside)
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{end}", f"{aside}{end}")
    return aside


class DiskBook:
    """See `edge.agent.book`. The outbox is on the disk alone, all else in memory as well."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.reloads: list[Callable[[], None]] = []  # of others who keep their rows in here
        self.db = sqlite3.connect(path, isolation_level=None)
        os.chmod(path, 0o600)
        try:
            self.prepare()
            self.load()
        except BaseException:
            self.db.close()
            raise

    def prepare(self) -> None:
        self.db.execute("pragma journal_mode = wal")
        self.db.execute("pragma synchronous = full")
        self.db.execute(f"pragma cache_size = -{CACHE}")
        [found] = self.db.execute("pragma quick_check(1)").fetchone()
        if found != "ok":
            error = sqlite3.DatabaseError(found)
            error.sqlite_errorname = "SQLITE_CORRUPT"
            raise error
        [form] = self.db.execute("pragma user_version").fetchone()
        if form not in (0, FORM):
            raise RuntimeError(f"{self.path} was written by another version: its form is {form}")
        self.db.executescript(SCHEMA)
        if form != FORM:  # on a full disk a book that is there can be read
            self.db.execute(f"pragma user_version = {FORM}")

    def load(self) -> None:
        facts = dict(self.db.execute("select name, value from facts"))
        if "lineage" not in facts:
            facts["lineage"] = uuid.uuid4().hex
            self.put("lineage", facts["lineage"])
            self.commit()
        self.lineage = str(facts["lineage"])
        self.greeting = int(facts.get("greeting", 0))
        command = int(facts.get("shut_command", 0))
        self.shut = Shut(bool(facts.get("draining", 0)), str(facts.get("shut_why", "")), command)
        self.jobs = {job.attempt: job for job in self.stored_jobs()}
        self.files: dict[str, tuple[Left, ...]] = {}
        columns = "number, name, size, digest, place, kind, stored"
        for attempt, *rest in self.db.execute(f"select attempt, {columns} from files"):
            self.files[attempt] = (*self.files.get(attempt, ()), Left(*rest))
        self.lasts = dict.fromkeys(NUMBERED, 0)
        self.haves = dict.fromkeys(NUMBERED, 0)
        for lane, last, have in self.db.execute("select lane, last, have from lanes"):
            self.lasts[Lane(lane)], self.haves[Lane(lane)] = last, have

    def stored_jobs(self) -> Iterator[Job]:
        columns = "offer, phase, command, wanted, result, printed, stored"
        for offer, phase, command, wanted, *rest in self.db.execute(f"select {columns} from jobs"):
            verb = None if wanted is None else Verb(wanted)
            yield Job(wire.read_offer(offer), Phase(phase), command, verb, *rest)

    # A transaction begins with its first change.

    def change(self, statement: str, *values: Any) -> None:
        try:
            if not self.db.in_transaction:
                self.db.execute("begin immediate")
            self.db.execute(statement, values)
        except sqlite3.OperationalError as error:
            self.refuse(error)

    def commit(self) -> None:
        if self.db.in_transaction:
            try:
                self.db.execute("commit")
            except sqlite3.OperationalError as error:
                self.refuse(error)

    def refuse(self, error: sqlite3.OperationalError) -> None:
        """What memory holds beyond the disk is given up, and is as the disk has it again."""
        with suppress(sqlite3.Error):
            self.db.execute("rollback")
        for load in (self.load, *self.reloads):
            load()
        raise NoRoom(f"{self.path} cannot be written: {error}") from error

    def close(self) -> None:
        self.db.close()

    # Changes.

    def put(self, name: str, value: Any) -> None:
        self.change("insert or replace into facts values (?, ?)", name, value)

    def next_greeting(self) -> int:
        self.put("greeting", self.greeting + 1)
        self.greeting += 1
        return self.greeting

    def put_job(self, job: Job) -> None:
        self.change(
            "insert or replace into jobs values (?, ?, ?, ?, ?, ?, ?, ?)",
            job.attempt,
            wire.kept(job.offer),
            job.phase.value,
            job.command,
            None if job.wanted is None else job.wanted.value,
            job.result,
            job.printed,
            job.stored,
        )
        self.jobs[job.attempt] = job

    def drop_job(self, attempt: str) -> None:
        self.change("delete from jobs where attempt = ?", attempt)
        if self.files.pop(attempt, None):
            self.change("delete from files where attempt = ?", attempt)
        del self.jobs[attempt]

    def put_files(self, attempt: str, files: tuple[Left, ...]) -> None:
        for each in files:
            self.change(
                "insert or replace into files values (?, ?, ?, ?, ?, ?, ?, ?)",
                *(attempt, each.number, each.name, each.size, each.digest, each.place, each.kind),
                each.stored,
            )
        self.files[attempt] = files

    def put_shut(self, shut: Shut) -> None:
        self.put("draining", int(shut.draining))
        self.put("shut_why", shut.why)
        self.put("shut_command", shut.command)
        self.shut = shut

    def add(self, lane: Lane, body: Body) -> int:
        seq = self.lasts[lane] + 1
        text = wire.kept(body)
        self.change("insert into items values (?, ?, ?, ?)", lane.value, seq, text, time.time())
        self.put_lane(lane, seq, self.haves[lane])
        return seq

    def put_lane(self, lane: Lane, last: int, have: int) -> None:
        self.change("insert or replace into lanes values (?, ?, ?)", lane.value, last, have)
        self.lasts[lane], self.haves[lane] = last, have

    def put_have(self, lane: Lane, seq: int) -> None:
        self.put_lane(lane, self.lasts[lane], seq)

    def forget(self, lane: Lane, upto: int) -> None:
        if upto > 0:
            self.change("delete from items where lane = ? and seq <= ?", lane.value, upto)

    def give_up(self, lane: Lane, *, before: float) -> None:
        """What is older than this: the server is told that something is gone."""
        self.change("delete from items where lane = ? and at < ?", lane.value, before)

    # What is there.

    def items(self, lane: Lane, after: int, most: int) -> Iterator[tuple[int, Body]]:
        found = self.db.execute(
            "select seq, body from items where lane = ? and seq > ? and seq <= ? order by seq",
            (lane.value, after, after + most),
        )
        return ((seq, wire.read_body(text)) for seq, text in found.fetchall())

    def last(self, lane: Lane) -> int:
        return self.lasts[lane]

    def have(self, lane: Lane) -> int:
        return self.haves[lane]

    def waiting(self) -> tuple[int, int, float | None]:
        """What the server has not, measures aside: items, their bytes, and when the oldest was
        written."""
        [found] = self.db.execute(
            "select count(*), coalesce(sum(length(body) + 40), 0), min(at) from items "
            "join lanes using (lane) where seq > have and lane in (?, ?, ?)",
            (Lane.RESULTS, Lane.EVENTS, Lane.OUTPUTS),
        )
        items, size, oldest = found
        return int(items), int(size), oldest

    def size(self) -> int:
        """Bytes of the outbox on the disk, roughly."""
        [[size]] = self.db.execute("select coalesce(sum(length(body) + 40), 0) from items")
        return int(size)
