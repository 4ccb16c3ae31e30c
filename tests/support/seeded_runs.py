"""A month of runs that are over, laid out by a few statements: tasks, attempts, output, ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import AsyncConnection

from scheduler.domain.board import fingerprint
from scheduler.domain.process_types import parse
from tests.support.seeded_types import SORTS

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Size:
    runs: int = 100_000
    told: int = 20_000  # the latest of them, which have attempts and history
    heard: int = 3_000  # the latest of them, whose output is kept
    records: int = 300
    events: int = 4_000

    @classmethod
    def of(cls, runs: int) -> "Size":
        return cls(runs=runs, told=max(runs // 5, 500), heard=max(runs // 30, 200))


SMALL = Size(runs=2_000, told=800, heard=200, records=60, events=200)

# What has records, and how they are called; the last part is a number.
OWNED = {
    "sensor-import": "halle-1-messstation",
    "disk-check": "host",
    "laser-cutter": "TruLaser-3030 Auftrag",
    "press-line": "Presse Süd",
    "lagerabgleich": "Lager",
    "customer-export": "Region",
    "etikettendruck": "ZT411",
    "backup-database": "erp-db",
}
OWNERS = ("anna", "jörg", "m.weiß", "özlem", "pia")

SORTED: LiteralString = """
create temp table sorts on commit drop as
with e as (
    select *
      from unnest(%(of)s::text[], %(positions)s::integer[], %(texts)s::text[], %(prints)s::text[])
           with ordinality as e (type, position, text, print, n)
)
select u.*, t.latest as version,
       array(select text from e where e.type = u.type order by n) as texts,
       array(select position from e where e.type = u.type order by n) as positions,
       array(select print from e where e.type = u.type order by n) as prints,
       (select count(*)::integer from process_type_tasks k
         where k.type = t.name and k.version = t.latest) as tasks
  from unnest(
           %(types)s::text[], %(lows)s::integer[], %(highs)s::integer[], %(seconds)s::float8[],
           %(failing)s::integer[], %(owned)s::text[]
       ) as u (type, low, high, seconds, failing, owned)
  join process_types t on t.name = u.type
"""

RECORDS: LiteralString = """
insert into process_records (id, type, description, input, vars, created_by, created_at)
select owned || ' ' || lpad(n::text, 2, '0'), type,
       case n %% 4 when 0 then 'Nachtschicht, nach Rücksprache mit der Leitstelle'
                   when 1 then 'Checked by hand on Mondays' else '' end,
       '{}', jsonb_build_object('owner', owners[1 + n %% cardinality(owners)]),
       'anna', now() - interval '60 days' + n * interval '1 hour'
  from sorts, generate_series(1, %(records)s / %(owned_types)s) as n,
       (select %(owners)s::text[] as owners) o
 where owned <> ''
on conflict do nothing
"""

DRAWN: LiteralString = """
create temp table drawn on commit drop as
select n, s.type, s.version, s.tasks, at, state, bad,
       s.texts[error] as text, s.positions[error] as position, s.prints[error] as print,
       at + lag as began, at + lag + took as ended,
       case when s.owned <> '' and n %% 10 < 7
            then s.owned || ' ' || lpad((1 + n %% (%(records)s / %(owned_types)s))::text, 2, '0')
       end as record,
       (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000'
        || lpad(to_hex(n), 12, '0'))::uuid as id
  from (
    select n, random() as a, random() as b, random() as c, random() as d,
           floor(random() * 1000)::integer as pick,
           now() - interval '4 minutes'
               - (%(runs)s - n) * (interval '30 days' / %(runs)s) as at
      from generate_series(1, %(runs)s) as n
  ) r
  join sorts s on r.pick >= s.low and r.pick < s.high,
       lateral (select 1 + (n %% greatest(cardinality(s.texts), 1)) as error,
                       case when r.a * 1000 < s.failing and cardinality(s.texts) > 0 then 'FAILED'
                            when r.a > 0.993 then 'STOPPED' else 'COMPLETED' end as state,
                       least(s.seconds, 7200) * (0.7 + 0.6 * r.b)
                           * case when r.c < 0.03 then 3 else 1 end as whole) x,
       lateral (select state <> 'COMPLETED' as bad,
                       make_interval(secs => 0.02 + r.d * r.d * 3) as lag,
                       least(make_interval(secs => whole * case when state = 'COMPLETED' then 1.0
                             else 0.2 + 0.6 * r.d end),
                             now() - at - interval '4 seconds') as took) y
"""

RUNS: LiteralString = """
insert into runs (id, type, type_version, record_id, state, priority, input, error, labels, total,
                  open, failed, events, triggered_by, created_at, started_at, finished_at)
select d.id, d.type, d.version, d.record, d.state::run_state, 4,
       case d.type
           when 'laser-cutter' then jsonb_build_object('sheet', 'T-' || 20000 + n,
                                                       'material', 'S355')
           when 'press-line' then jsonb_build_object('order', 'A-' || 7000 + n %% 900,
                                                     'pieces', 40 + n %% 400)
           when 'order-fulfilment' then jsonb_build_object('order', 'B' || 100000 + n)
           when 'invoice-run' then jsonb_build_object('day', to_char(d.at, 'YYYY-MM-DD'))
           when 'employee.leave' then jsonb_build_object('name', 'Anke Krüger ' || n %% 90)
           when 'employee.onboard' then jsonb_build_object('name', 'Özlem Groß ' || n %% 90)
           when 'web-shop.deploy' then jsonb_build_object('version', 'v4.' || n %% 60 || '.0')
           else '{}' end,
       case when d.state = 'FAILED' then 'task ' || k.name || ' failed: '
                || replace(d.text, '{n}', (1 + n %% 9)::text)
            when d.state = 'STOPPED' then 'stopped by anna: Werkzeugbruch, wird neu geplant' end,
       v.document -> 'labels' || case when n %% 3 = 0
           then jsonb_build_object('shift', (array['früh', 'spät', 'nacht'])[1 + n %% 7 %% 3])
           else '{}' end,
       d.tasks, 0, (d.state = 'FAILED')::integer, d.tasks + 2,
       case when d.record is not null and n %% 4 > 0 then 'anna'
            else coalesce((select 'schedule ' || min(s.id) from schedules s
                            where s.type = d.type),
                          (array['jörg', 'anna', 'shop', 'the API'])[1 + n %% 4]) end,
       d.at, d.began, d.ended
  from drawn d
  join process_type_versions v on v.type = d.type and v.version = d.version
  left join process_type_tasks k on k.type = d.type and k.version = d.version
        and k.position = d.position
 order by d.id
"""

TASKS: LiteralString = """
insert into tasks (run_id, position, name, kind, state, queue, rank, required, needed, open, passed,
                   successors, handler, settles, judged, on_lost, attempt, counted, holder,
                   invocation, exit_code, error, started_at, finished_at)
select d.id, k.position, k.name, k.kind, t.state::task_state, k.queue,
       2 * (9 - k.priority), k.required, 0, 0, t.state = 'COMPLETED', k.successors, k.handler,
       k.settles, k.judged, k.on_lost, t.attempt, t.attempt, null, k.invocation,
       case when t.state = 'COMPLETED' and k.kind in ('run', 'shell') then 0
            when t.state = 'FAILED' then substring(d.text from 'exit code (\\d+)')::integer end,
       case when t.state = 'FAILED' then replace(d.text, '{n}', (1 + n %% 9)::text) end,
       case when t.attempt > 0 then d.began + (d.ended - d.began) * k.position / d.reached end,
       case when t.attempt > 0 then d.began + (d.ended - d.began) * (k.position + 1) / d.reached
            else d.ended end
  from (select *, case when bad then coalesce(position, tasks / 2) + 1 else tasks end as reached
          from drawn) d
  join process_type_tasks k on k.type = d.type and k.version = d.version,
       lateral (select case when k.position < d.reached - 1 or not d.bad then 'COMPLETED'
                            when k.position >= d.reached then 'SKIPPED'
                            else d.state end as state) s,
       lateral (select s.state, case when s.state = 'SKIPPED' then 0
                                     when s.state = 'FAILED' then 1 + n %% 3
                                     else 1 end as attempt) t
 order by d.id, k.position
"""

ATTEMPTS: LiteralString = """
insert into attempts (run_id, task_id, number, round, state, counted, holder, started_at,
                      finished_at, exit_code, error)
select t.run_id, t.id, number, 1,
       case t.state when 'COMPLETED' then 'SUCCEEDED' when 'STOPPED' then 'STOPPED' else 'FAILED'
       end::attempt_state, true,
       (select id from holders order by id offset d.n %% 3 limit 1),
       t.started_at + (t.finished_at - t.started_at) * (number - 1) / t.attempt,
       t.started_at + (t.finished_at - t.started_at) * (number - 0.1) / t.attempt,
       t.exit_code, t.error
  from tasks t
  join drawn d on d.id = t.run_id and d.n > %(runs)s - %(told)s,
       generate_series(1, t.attempt) as number
"""

HISTORY: LiteralString = """
insert into history (run_id, seq, at, kind, task_id, attempt, data)
select d.id, 1, d.at, 'run.started', null, null, jsonb_build_object('by', r.triggered_by)
  from drawn d join runs r on r.id = d.id where d.n > %(runs)s - %(told)s
union all
select d.id, 2 + t.position, t.finished_at, 'task.' || lower(t.state::text), t.id, t.attempt,
       case when t.error is not null then jsonb_build_object('error', t.error) end
  from drawn d join tasks t on t.run_id = d.id where d.n > %(runs)s - %(told)s
union all
select d.id, 2 + d.tasks, d.ended, 'run.' || lower(d.state), null, null,
       case when r.error is not null then jsonb_build_object('error', r.error) end
  from drawn d join runs r on r.id = d.id where d.n > %(runs)s - %(told)s
"""

LETTERS: LiteralString = """
insert into dead_letters (run_id, task_id, round, type, task, state, error, fingerprint, input,
                          made_at, closed_at, closed_by, note)
select t.run_id, t.id, 1, d.type, t.name,
       case when is_open then 'OPEN' else 'DISCARDED' end::dead_letter_state, t.error, d.print,
       r.input, d.ended, case when not is_open then least(d.ended + interval '5 hours', now()) end,
       case when not is_open then 'jörg' end,
       case when not is_open then (array['Ware nachbestellt', 'known fault of the printer',
           'done by hand', 'Auftrag storniert'])[1 + d.n %% 4] end
  from (select *, place <= 8 or n > %(runs)s * 0.9 and n %% 2 = 0 as is_open
          from (select *, row_number() over (order by id desc) as place
                  from drawn where state = 'FAILED') f) d
  join runs r on r.id = d.id
  join tasks t on t.run_id = d.id and t.state = 'FAILED'
 order by d.id
"""

PRINTED: LiteralString = """
insert into output_chunks (task_id, attempt, start, stream, data, at)
select t.id, t.attempt, part.start, part.stream, part.data, t.finished_at
  from tasks t
  join drawn d on d.id = t.run_id and d.n > %(runs)s - %(heard)s,
       lateral (
         select convert_to(string_agg(
                    to_char(t.started_at + line * interval '137 ms', 'HH24:MI:SS.MS')
                    || case when line %% 17 = 0 then E' \\x1b[33mWARN\\x1b[0m  ' else ' INFO  ' end
                    || t.name || case line %% 5
                         when 0 then ': opened connection to 10.20.4.' || line %% 250
                         when 1 then ': Datensatz ' || line || ' gelesen (' || line * 37 || ' Byte)'
                         when 2 then ': took ' || line * 3 || ' ms, queue empty'
                         when 3 then ': Maß 12,04 mm ± 0,02 mm, in tolerance'
                         else ': step ' || line || ' done' end || E'\\n', '' order by line),
                'UTF8') as data
           from generate_series(1, 6 + d.n %% 70) as line) said,
       lateral (
         values (0, 1, said.data),
                (length(said.data), 2, convert_to(E'\\x1b[31merror\\x1b[0m: ' || t.error
                     || E'\\n  in ' || t.name || E'\\n  see the handbook, chapter 7\\n', 'UTF8'))
       ) as part (start, stream, data)
 where t.attempt > 0 and t.kind in ('run', 'shell') and part.data is not null
"""

# One log that nobody reads from its beginning to its end: 8 MiB in pieces of 64 KiB.
LONG: LiteralString = """
insert into output_chunks (task_id, attempt, start, stream, data, at)
select t.id, 1, piece * 65536, 1,
       convert_to(rpad('', 65536, rpad('block ' || piece || ' of 128 checked, all sums are right ',
                                       79, '.') || E'\\n'), 'UTF8'), t.finished_at
  from (select t.id, t.finished_at from tasks t join runs r on r.id = t.run_id
         where r.type = 'nightly-etl' and t.name = 'extract-machines' and t.state = 'COMPLETED'
         order by r.id desc limit 1) t,
       generate_series(0, 127) as piece
"""

TICKS: LiteralString = """
insert into ticks (schedule_id, tick, kind, state, reason, run_id, due_at, decided_at)
select s.id, date_trunc('minute', d.at), 'time', t.state::tick_state,
       case t.state when 'SKIPPED' then 'the run before still goes on'
                    when 'MISSED' then 'nobody was there' end,
       case when t.state = 'STARTED' then d.id end, date_trunc('minute', d.at), d.at
  from drawn d
  join schedules s on s.type = d.type,
       lateral (select case when d.n %% 41 = 3 then 'SKIPPED' when d.n %% 97 = 5 then 'MISSED'
                            else 'STARTED' end as state) t
 where d.record is null
on conflict do nothing
"""

DECISIONS: LiteralString = """
insert into trigger_decisions (trigger_id, event_id, fate, run_id, reason, decided_at)
select t.id, e.id, f.fate::trigger_fate, case when f.fate = 'STARTED' then e.run end,
       case f.fate when 'THROTTLED' then '500 starts wait already'
                   when 'DEDUPED' then 'there was one of this key' end, e.received_at
  from triggers t,
       (select e.id, e.received_at, r.id as run
          from (select *, row_number() over (order by id) as n from events
                 where type = 'shop.order.paid') e
          join (select id, row_number() over (order by id desc) as n from drawn
                 where type = 'order-fulfilment') r using (n)) e,
       lateral (select case when e.id %% 23 = 0 then 'THROTTLED' when e.id %% 29 = 0 then 'DEDUPED'
                            else 'STARTED' end as fate) f
 where t.type = 'order-fulfilment'
on conflict do nothing
"""

FILES: LiteralString = """
with kept as (
    insert into file_contents (digest, size, data)
    select sha256(data), length(data), data
      from (select convert_to(E'Maß;Soll;Ist\nA1;12,00;12,04\nA2;40,00;39,98\n', 'UTF8') as data) d
    returning digest, size
)
insert into task_files (run_id, task_id, attempt, name, type, size, digest)
select t.run_id, t.id, t.attempt, f.name, 'text/csv', size, digest
  from kept, tasks t, unnest(array['messprotokoll.csv', 'Prüfbericht Serie 7.csv']) as f (name)
 where t.state in ('FAILED', 'COMPLETED') and t.attempt > 0 and t.position = 0
   and t.run_id in (select id from drawn where n > %(runs)s - %(heard)s)
"""

# A record remembers the run that it had last.
LAST: LiteralString = """
update process_records p
   set current_run = (select r.id from runs r where r.record_id = p.id order by r.id desc limit 1)
"""

STATEMENTS = (
    RECORDS, DRAWN, "create index on drawn (id)", "analyze drawn", RUNS, TASKS, ATTEMPTS, HISTORY,
    LETTERS, PRINTED, LONG, FILES, LAST, TICKS, DECISIONS,
)  # fmt: skip


async def fill(conn: Conn, size: Size) -> None:
    """In one transaction of the owner; the types have been published."""
    async with conn.transaction():
        await conn.execute("set local synchronous_commit = off")
        await conn.execute("select setseed(0.42)")
        values = {**sorts(), **sizes(size)}
        await conn.execute(SORTED, values)
        for statement in STATEMENTS:
            await conn.execute(statement, values)
    await conn.execute("analyze")


def sizes(size: Size) -> dict[str, Any]:
    return {
        "runs": size.runs,
        "told": size.told,
        "heard": size.heard,
        "records": size.records,
        "owners": list(OWNERS),
        "owned_types": len(OWNED),
    }


def sorts() -> dict[str, Sequence[Any]]:
    types = [parse(sort.text)[0] for sort in SORTS]
    ends = [sum(each.share for each in SORTS[: n + 1]) for n in range(len(SORTS))]
    errors = [
        (type.name, position, text, fingerprint(type.name, type.tasks[position].name, said(text)))
        for type, sort in zip(types, SORTS, strict=True)
        for position, text in sort.errors
    ]
    return {
        "types": [type.name for type in types],
        "lows": [end - sort.share for end, sort in zip(ends, SORTS, strict=True)],
        "highs": ends,
        "seconds": [sort.seconds for sort in SORTS],
        "failing": [sort.failing for sort in SORTS],
        "owned": [OWNED.get(type.name, "") for type in types],
        "of": [each[0] for each in errors],
        "positions": [each[1] for each in errors],
        "texts": [each[2] for each in errors],
        "prints": [each[3] for each in errors],
    }


def said(text: str) -> str:
    return text.replace("{n}", "1")
