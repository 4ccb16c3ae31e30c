"""Nothing grows for ever: of every table somebody removes what nobody needs any more."""

import re
from importlib.resources import files

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from scheduler.chores.workstations import FORGETTING

pytestmark = pytest.mark.anyio

# People make these, one by one, and remove what they do not want; or there is a row for each of
# something that they make.
BY_PEOPLE = frozenset(
    {
        "chore_migrations",
        "chore_plans",
        "process_type_tasks",
        "process_type_versions",
        "process_types",
        "queues",
        "retention_details",
        "retention_terms",
        "schedule_stops",
        "schema_migrations",
        "secret_keys",
        "workstation_signing",
    }
)
DELETE = re.compile(r"\bdelete\s+from\s+(?:public\.)?(\w+)", re.IGNORECASE)

TABLES = """
select c.relname
  from pg_class c
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
   and not c.relispartition and c.relname not like 'procrastinate%%'
 order by c.relname
"""
PARTITIONED = "select relname from pg_class where relkind = 'p' and not relispartition"
WITH_OTHERS = """
select c.conrelid::regclass::text
  from pg_constraint c
 where c.contype = 'f' and c.confdeltype = 'c'
"""


def removed_by_statements() -> set[str]:
    texts = [each.read_text() for each in (files("sql") / "queries").iterdir()]
    texts += [each.read_text() for each in (files("sql") / "migrations").iterdir()]
    return {found for text in texts for found in DELETE.findall(text)}


async def test_every_table_has_somebody_who_removes_from_it(db: AsyncConnection) -> None:
    async def names(query: str) -> set[str]:
        cursor = await db.execute(query)
        return {name for (name,) in await cursor.fetchall()}

    tables = await names(TABLES)
    kept = removed_by_statements() | await names(PARTITIONED) | await names(WITH_OTHERS)
    left = ", ".join(sorted(tables - kept - BY_PEOPLE))
    assert left == ""
    assert not BY_PEOPLE - tables


STATION = """
insert into workstations (name, state, public_key, created_by, heard_at)
values ('saw', 'ACCEPTED', 'key', 'test', clock_timestamp())
returning id
"""
MEASURES = """
insert into workstation_metrics (workstation, at, metrics)
select %(id)s, date_trunc('hour', clock_timestamp()) - minute * interval '1 minute', '{}'::jsonb
  from unnest(array[5, 6, 7]) as minute
union all
select %(id)s, date_trunc('hour', clock_timestamp()) - interval '2 days' + n * interval '1 minute',
       '{}'::jsonb
  from generate_series(0, 29) as n
union all
select %(id)s, date_trunc('hour', clock_timestamp()) - interval '8 days' + n * interval '1 minute',
       '{}'::jsonb
  from generate_series(0, 119) as n
union all
select %(id)s, clock_timestamp() - interval '91 days', '{}'::jsonb
"""
SEEN = """
insert into workstation_sightings (workstation, began_at, ended_at, carrier)
values (%(id)s, clock_timestamp() - interval '200 days',
        clock_timestamp() - interval '100 days', 'stream'),
       (%(id)s, clock_timestamp() - interval '100 days', null, 'stream')
"""
ASKED = """
insert into workstation_commands (workstation, verb, asked_at, done_at, asked_by)
values (%(id)s, 'drain', clock_timestamp() - interval '100 days',
        clock_timestamp() - interval '100 days', 'test'),
       (%(id)s, 'drain', clock_timestamp() - interval '1 day', null, 'test')
"""
HAD = """
insert into workstation_hands (workstation, task_id, attempt, run_id, stage)
values (%(id)s, 1, 1, gen_random_uuid(), 'OVER'), (%(id)s, 2, 1, gen_random_uuid(), 'RUNNING')
"""


async def test_what_is_known_of_a_workstation_is_thinned_out_as_it_ages(
    db: AsyncConnection,
) -> None:
    [station] = await (await db.execute(STATION)).fetchone() or (0,)
    for statement in (MEASURES, SEEN, ASKED, HAD):
        await db.execute(statement, {"id": station})
    for forget in FORGETTING:
        await forget(db)

    async def count(table: str) -> int:
        cursor = await db.execute(SQL("select count(*) from {}").format(Identifier(table)))
        return int((await cursor.fetchone() or (0,))[0])

    assert await count("workstation_metrics") == 3 + 3 + 2
    assert await count("workstation_sightings") == 1
    assert await count("workstation_commands") == 1
    assert await count("workstation_hands") == 1
