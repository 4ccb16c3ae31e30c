"""The rows of the workstation's own runs, in the database of its book. It never commits."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from edge.agent.micro import rows
from edge.agent.store import DiskBook
from scheduler.domain import process_types
from scheduler.domain.board import Board
from scheduler.domain.definitions import ProcessType
from scheduler.domain.errors import Conflict, NotFound
from scheduler.domain.runs import Run
from scheduler.domain.tasks import Task

RETIRED = "micro_retired"
SCHEMA = """
create table if not exists micro_types (
  name text, version integer, document text not null, digest text not null,
  primary key (name, version)
) without rowid;
create table if not exists micro_runs (
  id text primary key, type text not null, version integer not null, state text not null,
  is_over integer not null, due real, parent text, place integer, attempt text, schedule integer,
  waits_for text, created real not null, finished real, told integer not null default 0,
  revision integer not null default 0, about text not null, row text not null, result text
) without rowid;
create index if not exists micro_runs_due on micro_runs (due) where due is not null;
create index if not exists micro_runs_over on micro_runs (finished) where is_over;
create index if not exists micro_runs_living on micro_runs (created) where not is_over;
create index if not exists micro_runs_parents on micro_runs (parent, place);
create index if not exists micro_runs_attempts on micro_runs (attempt);
create index if not exists micro_runs_schedules on micro_runs (schedule) where not is_over;
create index if not exists micro_runs_waiting on micro_runs (waits_for, id);
create table if not exists micro_tasks (
  run text, position integer, state text not null, rank integer not null, ready real,
  due real, blocked text, row text not null, output text, primary key (run, position)
) without rowid;
create index if not exists micro_tasks_ready on micro_tasks (rank, ready) where state = 'READY';
create index if not exists micro_tasks_due on micro_tasks (due) where due is not null;
create index if not exists micro_tasks_blocked on micro_tasks (blocked, rank, ready)
  where blocked is not null;
create table if not exists micro_schedules (
  id integer primary key, document text not null, next_tick real, next_at real, queued real
);
create table if not exists micro_keys (key text primary key, run text not null, at real not null)
  without rowid;
create table if not exists micro_limits (key text primary key, size integer not null, per real)
  without rowid;
create table if not exists micro_places (key text, run text, position integer, until real);
create index if not exists micro_places_keys on micro_places (key);
create index if not exists micro_places_of on micro_places (run, position);
create table if not exists micro_events (
  id integer primary key autoincrement, type text not null, key text not null,
  source text not null, event text not null, data text not null, at real not null,
  unique (source, event)
);
create index if not exists micro_events_of on micro_events (type, key, id);
create table if not exists micro_waits (
  run text, position integer, type text not null, key text not null, after integer not null,
  primary key (run, position)
) without rowid;
create index if not exists micro_waits_for on micro_waits (type, key);
create table if not exists micro_approvals (
  id integer primary key autoincrement, run text not null, position integer not null,
  attempt integer not null, state text not null, message text not null, who text not null,
  form text, asked real not null, due real, by text, note text, data text
);
create index if not exists micro_approvals_open on micro_approvals (run, position)
  where state = 'OPEN';
"""

IN_FLIGHT = ("READY", "IN_PROGRESS")
GROUP = -1  # the position at which a run itself has its place


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a run was begun with and keeps."""

    triggered_by: str
    created: float
    attempt: str | None = None  # of the server's task that it was handed over for
    schedule: int | None = None
    tick: str | None = None
    system: Mapping[str, Any] = field(default_factory=dict)  # its variables
    record: Mapping[str, Any] = field(default_factory=dict)  # those of the run's record
    secrets: Mapping[str, str] = field(default_factory=dict)  # by name, each sealed to us


@dataclass(slots=True)
class Case:
    """A run with all that belongs to it."""

    run: Run
    tasks: list[Task]
    about: About
    outputs: dict[int, str] = field(default_factory=dict)  # by position, as JSON
    result: str | None = None
    revision: int = 0


class Ledger:
    def __init__(self, book: DiskBook) -> None:
        self.book = book
        self.types: dict[tuple[str, int], ProcessType] = {}
        with book.db:
            book.db.executescript(SCHEMA)

    def change(self, statement: str, *values: Any) -> None:
        self.book.change(statement, *values)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.book.db.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self.book.db.execute(statement, values).fetchone()
        return found

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All that is written within, or nothing of it."""
        self.change("savepoint micro")
        try:
            yield
        except BaseException:
            if self.book.db.in_transaction:
                self.book.db.execute("rollback to micro")
                self.book.db.execute("release micro")
            raise
        self.change("release micro")

    # Types.

    def put_type(self, definition: ProcessType, version: int) -> None:
        document = json.dumps(process_types.to_document(definition))
        digest = process_types.digest(definition)
        self.change(
            "insert or ignore into micro_types values (?, ?, ?, ?)",
            *(definition.name, version, document, digest),
        )

    def newest(self, name: str) -> int | None:
        found = self.one("select max(version) from micro_types where name = ?", name)
        return None if found is None else found[0]

    def type(self, name: str, version: int | None = None) -> tuple[ProcessType, int]:
        number = self.newest(name) if version is None else version
        found = None if number is None else self.known(name, number)
        if found is None or number is None:
            said = f"version {version} of {name}" if version else f"the process type {name}"
            raise NotFound(
                f"{said} is not on this workstation",
                field="type",
                remedy="it comes from the server when something of it is placed here",
            )
        return found, number

    def in_use(self, name: str, version: int | None = None) -> tuple[ProcessType, int]:
        """One that people want more runs of."""
        if name in self.retired():
            raise Conflict(
                f"process type {name!r} was retired on the server",
                field="type",
                remedy="reinstate it there, or use another type",
            )
        return self.type(name, version)

    def put_retired(self, names: Sequence[str]) -> None:
        self.book.put(RETIRED, json.dumps(list(names)))

    def retired(self) -> list[str]:
        found = self.one("select value from facts where name = ?", RETIRED)
        return [] if found is None else list(json.loads(found[0]))

    def known(self, name: str, version: int) -> ProcessType | None:
        """As it was published."""
        if (name, version) not in self.types:
            found = self.one(
                "select document from micro_types where name = ? and version = ?", name, version
            )
            if found is None:
                return None
            self.types[name, version] = process_types.from_document(json.loads(found[0]))
        return self.types[name, version]

    # Runs.

    def load(self, run: UUID) -> Case | None:
        found = self.one(
            "select row, about, result, revision from micro_runs where id = ?", str(run)
        )
        if found is None:
            return None
        tasks, outputs = [], {}
        stored = "select position, row, output from micro_tasks where run = ? order by position"
        for position, row, output in self.rows(stored, str(run)):
            tasks.append(rows.read(Task, json.loads(row)))
            if output is not None:
                outputs[position] = output
        row, about, result, revision = found
        return Case(
            run=rows.read(Run, json.loads(row)),
            tasks=tasks,
            about=About(**json.loads(about)),
            outputs=outputs,
            result=result,
            revision=revision,
        )

    def put_run(self, case: Case) -> None:
        run, about = case.run, case.about
        waits = run.group_key if not run.admitted and not run.state.is_final else None
        self.change(
            """insert into micro_runs (id, type, version, state, is_over, due, parent, place,
                 attempt, schedule, waits_for, created, finished, revision, about, row, result)
               values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               on conflict (id) do update set state = excluded.state, is_over = excluded.is_over,
                 due = excluded.due, waits_for = excluded.waits_for, finished = excluded.finished,
                 revision = excluded.revision, row = excluded.row, result = excluded.result""",
            *(str(run.id), run.type, run.type_version, run.state.value),
            *(run.state.is_final, stamp(run.due_at)),
            *(str(run.parent_run) if run.parent_run else None, place_of_parent(run)),
            *(about.attempt, about.schedule, waits, about.created, stamp(run.finished_at)),
            *(case.revision, json.dumps(rows.plain(about)), json.dumps(rows.plain(run))),
            case.result,
        )

    def put_task(self, case: Case, task: Task, now: datetime) -> None:
        self.change(
            """insert into micro_tasks
                 (run, position, state, rank, ready, due, blocked, row, output)
               values (?, ?, ?, ?, ?, ?, ?, ?, ?)
               on conflict (run, position) do update set state = excluded.state,
                 rank = excluded.rank, due = excluded.due, blocked = excluded.blocked,
                 ready = case when micro_tasks.state = excluded.state then micro_tasks.ready
                              else excluded.ready end,
                 row = excluded.row, output = excluded.output""",
            *(str(task.run_id), task.position, task.state.value, task.rank, stamp(now)),
            *(stamp(task.due_at), task.blocked_on, json.dumps(rows.plain(task))),
            case.outputs.get(task.position),
        )

    def told(self, run: UUID, seq: int) -> None:
        self.change("update micro_runs set told = ? where id = ?", seq, str(run))

    def ready(self, most: int) -> list[tuple[UUID, int, float]]:
        """The most urgent first, each with when it became so."""
        found = self.rows(
            """select run, position, ready from micro_tasks where state = 'READY'
                order by rank, ready, run, position limit ?""",
            most,
        )
        return [(UUID(run), position, since) for run, position, since in found]

    def due(self, now: float) -> list[UUID]:
        found = self.rows(
            """select run from micro_tasks where due <= ?1
                union select id from micro_runs where due <= ?1 order by 1""",
            now,
        )
        return [UUID(run) for (run,) in found]

    def next_due(self) -> float | None:
        found = self.one(
            """select min(at) from (
                 select min(due) as at from micro_tasks where due is not null
                 union all select min(due) from micro_runs where due is not null
                 union all select min(next_at) from micro_schedules
                 union all select min(until) from micro_places where key in (
                     select blocked from micro_tasks where blocked is not null))"""
        )
        return None if found is None else found[0]

    def of_attempt(self, attempt: str) -> UUID | None:
        found = self.one("select id from micro_runs where attempt = ?", attempt)
        return None if found is None else UUID(found[0])

    def of_key(self, key: str | None) -> UUID | None:
        found = self.one("select run from micro_keys where key = ?", key)
        return None if found is None else UUID(found[0])

    def remember(self, key: str | None, run: UUID, now: float) -> None:
        if key:
            self.change("insert or ignore into micro_keys values (?, ?, ?)", key, str(run), now)

    def handed_over(self) -> list[str]:
        """The attempts whose runs have not ended."""
        found = self.rows(
            "select attempt from micro_runs where attempt is not null and not is_over"
        )
        return [attempt for (attempt,) in found]

    def children(self, run: UUID, position: int) -> list[UUID]:
        """The newest last."""
        found = self.rows(
            "select id from micro_runs where parent = ? and place = ? order by id",
            *(str(run), position),
        )
        return [UUID(child) for (child,) in found]

    def living(self, schedule: int) -> list[UUID]:
        found = self.rows(
            "select id from micro_runs where schedule = ? and not is_over order by id desc",
            schedule,
        )
        return [UUID(run) for (run,) in found]

    def waiting_for(self, group: str) -> list[UUID]:
        found = self.rows("select id from micro_runs where waits_for = ? order by id", group)
        return [UUID(run) for (run,) in found]

    def blocked_on(self, key: str) -> list[tuple[UUID, int]]:
        found = self.rows(
            "select run, position from micro_tasks where blocked = ? order by rank, ready, run",
            key,
        )
        return [(UUID(run), position) for run, position in found]

    def forget(self, have: int, before: float, keep: int) -> int:
        """Runs that the server has whole: those that are old, and the oldest of too many."""
        found = self.rows(
            """select id from micro_runs where is_over and told <= ?1 and finished < ?2
                union select id from (
                  select id from micro_runs where is_over and told <= ?1
                   order by finished desc limit 200 offset ?3)
                limit 200""",
            *(have, before, keep),
        )
        for (run,) in found:
            for table in ("tasks", "waits", "approvals", "places"):
                self.change(f"delete from micro_{table} where run = ?", run)
            self.change("delete from micro_runs where id = ?", run)
        if found:
            self.change("delete from micro_events where at < ?", before)
            self.change("delete from micro_keys where at < ?", before)
        return len(found)

    # Places under limits.

    def put_limits(self, board: Board) -> None:
        for key, size in board.limit_sizes.items():
            per = board.limit_windows.get(key)
            self.change(
                "insert or replace into micro_limits values (?, ?, ?)",
                *(key, size, None if per is None else per.total_seconds()),
            )

    def full(self, keys: Sequence[str], now: float) -> str | None:
        """The first of these that has no place left."""
        for key in keys:
            found = self.one(
                """select size <= (select count(*) from micro_places
                                    where key = ?1 and (until is null or until > ?2))
                     from micro_limits where key = ?1""",
                *(key, now),
            )
            if found is not None and found[0]:
                return key
        return None

    def take(self, keys: Sequence[str], run: UUID, position: int, now: float) -> None:
        for key in keys:
            self.change(
                """insert into micro_places
                   select ?1, ?2, ?3, ?4 + per from micro_limits where key = ?1""",
                *(key, str(run), position, now),
            )

    def release(self, run: UUID, position: int) -> list[str]:
        where = "where run = ? and position = ? and until is null"
        freed = self.rows(f"select key from micro_places {where}", str(run), position)
        if freed:
            self.change(f"delete from micro_places {where}", str(run), position)
        return [key for (key,) in freed]

    def lapse(self, now: float) -> list[str]:
        freed = self.rows("select distinct key from micro_places where until <= ?", now)
        if freed:
            self.change("delete from micro_places where until <= ?", now)
        return [key for (key,) in freed]

    def members(self, key: str) -> list[UUID]:
        found = self.rows("select run from micro_places where key = ? order by run", key)
        return [UUID(run) for (run,) in found]


def stamp(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def moment(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def place_of_parent(run: Run) -> int | None:
    """Tasks are named by 1 and their position here: see `task_id`."""
    return None if run.parent_task is None else run.parent_task - 1


def task_id(position: int) -> int:
    return position + 1
