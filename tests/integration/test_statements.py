import re
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from scheduler.domain.errands import Errand
from scheduler.domain.runs import Run
from scheduler.domain.states import AttemptState, Reason, RunState, TaskState
from scheduler.domain.tasks import Claimed, Task
from scheduler.store import remote
from scheduler.store.output import Chunk, End
from scheduler.store.queues import Moment
from scheduler.store.variables import OfRecord
from scheduler.store.waits import Met
from sql.statements import statements

pytestmark = pytest.mark.anyio

TABLES = sorted(path.stem for path in (Path(__file__).parents[2] / "sql/queries").glob("*.sql"))

# Statements whose rows become records: their columns are the record's fields, in order.
RECORDS = {
    "tasks.claim": Claimed,
    "tasks.in_hand": Claimed,
    "remote.claim": remote.Claimed,
    "tasks.lock_of_runs": Task,
    "runs.lock_boards": Run,
    "queues.moment": Moment,
    "output.ends": End,
    "output.read": Chunk,
    "errands.take": Errand,
    "waits.find": Met,
    "variables.of_record": OfRecord,
}


@pytest.mark.parametrize("table", TABLES)
async def test_every_statement_is_valid_and_yields_whole_records(
    db: AsyncConnection, table: str
) -> None:
    for name, statement in statements(table).items():
        placeholders: list[str] = []

        def number(match: re.Match[str], seen: list[str] = placeholders) -> str:
            if match[1] not in seen:
                seen.append(match[1])
            return f"${seen.index(match[1]) + 1}"

        text = re.sub(r"%\((\w+)\)s", number, statement.as_string(None)).replace("%%", "%")
        full = f"{table}.{name}"
        result = db.pgconn.prepare(full.encode(), text.encode())
        assert not result.error_message, f"{full}: {result.error_message!r}"
        description = db.pgconn.describe_prepared(full.encode())
        columns = [(description.fname(i) or b"").decode() for i in range(description.nfields)]
        if record := RECORDS.get(full):
            assert columns == [field.name for field in fields(record)], full


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("run_state", RunState),
        ("task_state", TaskState),
        ("attempt_state", AttemptState),
        ("wait_reason", Reason),
    ],
)
async def test_python_and_the_database_agree_on_the_states(
    db: AsyncConnection, name: str, states: type[StrEnum]
) -> None:
    cursor = await db.execute(f"select unnest(enum_range(null::{name}))::text")
    assert sorted(row[0] for row in await cursor.fetchall()) == sorted(s.value for s in states)
