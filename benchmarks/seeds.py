"""A million runs of a month, as a system in use has them: many types, most of them over, few
failures, some of records, labels on all."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import LiteralString
from urllib.parse import urlencode
from uuid import UUID

from psycopg import AsyncConnection

from benchmarks.system import Conn, chain, publish
from scheduler.api import pages as cursors

RUNS = 1_000_000
TYPES, RECORDS, TEAMS = 20, 1000, 50
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
APART = 2592  # milliseconds from one run to the next: a million in thirty days

FILL: LiteralString = """
insert into runs (id, type, type_version, record_id, state, priority, input, error, labels, total,
                  open, failed, events, triggered_by, created_at, started_at, finished_at)
select (lpad(to_hex(%(began)s + number::bigint * %(apart)s), 12, '0') || '70008000'
        || lpad(to_hex(number), 12, '0'))::uuid,
       'type-' || number %% %(types)s, 1,
       case when number %% 10 = 0 then 'record-' || (number / 10) %% %(records)s end,
       state, 5, jsonb_build_object('number', number),
       case when state = 'FAILED' then 'load: exit code ' || number %% 7 || ' of part ' || number
       end,
       jsonb_build_object('team', 'team-' || number %% %(teams)s, 'order', number::text),
       2, case when final then 0 else 2 end, 0, 2, 'benchmark', at, at,
       case when final then at + interval '2 s' end
  from generate_series(1, %(count)s) as number,
       lateral (select (case when number %% 50 = 7 then 'FAILED'
                             when number %% 200 = 11 then 'STOPPED'
                             when number %% 1000 = 13 then 'IN_PROGRESS'
                             else 'COMPLETED' end)::run_state as state,
                       to_timestamp((%(began)s + number::bigint * %(apart)s) / 1000.0) as at
       ) as run,
       lateral (select state in ('FAILED', 'STOPPED', 'COMPLETED') as final) as f
"""


async def fill(url: str, conn: Conn, count: int) -> None:
    for number in range(TYPES):
        await publish(conn, chain(f"type-{number}", 2))
    values = {
        "began": milliseconds(),
        "apart": APART,
        "types": TYPES,
        "records": RECORDS,
        "teams": TEAMS,
        "count": count,
    }
    async with await AsyncConnection.connect(url) as owner:
        await owner.execute(FILL, values)


def milliseconds() -> int:
    return int(BEGAN.timestamp() * 1000)


def id_of(number: int) -> UUID:
    return UUID(int=((milliseconds() + number * APART) << 80) | (0x70008000 << 48) | number)


def pages(count: int) -> Mapping[str, str]:
    """What people look at: each filter, the first page and one far behind."""
    deep = {"cursor": cursors.encode(id_of(count // 20))}
    asked: dict[str, dict[str, str]] = {
        "first": {},
        "first_200": {"limit": "200"},
        "deep": deep,
        "type": {"type": "type-3"},
        "type_deep": {"type": "type-3", **deep},
        "type_unknown": {"type": "nothing"},
        "record": {"record": "record-7"},
        "failed": {"status": "FAILED"},
        "failed_deep": {"status": "FAILED", **deep},
        "running": {"status": "IN_PROGRESS"},
        "held": {"status": "HELD"},
        "type_failed": {"type": "type-7", "status": "FAILED"},
        "type_held": {"type": "type-7", "status": "HELD"},
        "record_failed": {"record": "record-7", "status": "FAILED"},
        "label": {"label": "team:team-7"},
        "label_rare": {"label": f"order:{count // 2}"},
        "label_unknown": {"label": "team:nobody"},
        "label_failed": {"label": "team:team-7", "status": "FAILED"},  # all failures are its own
        "label_none_failed": {"label": "team:team-8", "status": "FAILED"},
        "created": {"created_from": when(count // 3), "created_to": when(count // 2)},
        "finished": {"finished_from": when(count // 3), "finished_to": when(count // 2)},
        "error": {"error": "exit code 3"},
        "error_rare": {"error": f"part {count // 100 * 50 + 7}"},
        "error_unknown": {"error": "no such text"},
        "counted": {"count": "true"},
        "failed_counted": {"status": "FAILED", "count": "true"},
        "label_counted": {"label": "team:team-7", "count": "true"},
    }
    return {name: f"/runs?{urlencode(query)}" for name, query in asked.items()}


def when(number: int) -> str:
    moment = BEGAN + timedelta(milliseconds=number * APART)
    return moment.isoformat().replace("+00:00", "Z")
