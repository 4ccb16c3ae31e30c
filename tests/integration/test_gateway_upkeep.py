"""What is known of workstations is thinned out as it ages."""

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from scheduler.chores.workstations import FORGETTING

pytestmark = pytest.mark.anyio

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
