"""A database as a firm has it after a month: 20 types, 300 records, 100,000 runs, people, troubles.

    python -m tests.support.seeded DIR [--runs N]

fills what `procession up --data-dir DIR` has running. The same people can sign in everywhere: anna
(admin), joerg (operator), m.weiss (author), pia (viewer), with the password that is printed.
"""

import argparse
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import httpx
from psycopg import AsyncClientCursor, AsyncConnection

from scheduler.address import left_in
from scheduler.embedded import EmbeddedPostgres
from tests.support.seeded_runs import Conn, Size, fill
from tests.support.seeded_types import BEFORE, SORTS
from tests.support.seeded_workstations import ASKING, TYPE, hand_over, seed_workstations

PASSWORD = "quiet hedge in October"
PEOPLE = {
    "anna": ("admin", "Anna Berg"),
    "joerg": ("operator", "Jörg Schäfer"),
    "m.weiss": ("author", "Martina Weiß"),
    "pia": ("viewer", "Pia Ørsted"),
}
MACHINES = {"halle-1": "default", "halle-2": "default", "buero": "reports"}

HOLDERS: LiteralString = """
insert into holders (name, kind, incarnation, host, pid, version, queues, slots, state, started_at,
                     lease_until)
select name, 'worker', 'seeded', name || '.werk.example', 700 + n, '0.1.0', array[queue], 8,
       case when name = 'buero' then 'GONE' else 'ACTIVE' end::holder_state,
       now() - interval '9 days', now() + interval '30 days'
  from unnest(%(names)s::text[], %(queues)s::text[]) with ordinality as h (name, queue, n)
"""

# Before there are triggers, which concern themselves only with what comes after them.
EVENTS: LiteralString = """
insert into events (source, event_id, type, key, data, occurred_at, received_at, received_by)
select source, source || '-' || n, type, key, data, at, at + interval '80 ms', 'shop'
  from (select n, now() - (%(events)s - n) * (interval '30 days' / %(events)s) as at,
               case when n %% 4 = 3 then 'halle-1' else 'shop' end as source,
               (array['shop.order.created', 'shop.order.paid', 'shop.order.changed',
                      'machine.alarm'])[1 + n %% 4] as type,
               case when n %% 4 = 3 then 'presse-' || n %% 5 else 'B' || 100000 + n end as key,
               case when n %% 4 = 3
                    then jsonb_build_object('code', 'E' || 100 + n %% 40, 'text', 'Öldruck niedrig')
                    else jsonb_build_object('total', 20 + n %% 900, 'items', 1 + n %% 5,
                                            'customer', 'Größe & Söhne GmbH') end as data
          from generate_series(1, %(events)s) as n) e
"""

CHORES: LiteralString = """
with kinds (chore, place, seconds) as (
    values ('chores.export', 1, 14), ('chores.retention', 2, 2), ('chores.deliveries', 3, 1)
), gone as (
    insert into chore_history (job, chore, args, attempt, state, server, started_at, ended_at,
                               error)
    select 900000 + n, chore, '{}', 1 + n %% 2,
           case when n %% 31 = 0 then 'FAILED' when n %% 13 = 0 then 'RETRIED' else 'SUCCEEDED' end,
           'werk-1', at, at + seconds * interval '1 second',
           case when n %% 31 = 0 or n %% 13 = 0 then 'connection to the mail server refused' end
      from kinds, generate_series(1, 200) as n,
           lateral (select now() - n * interval '20 minutes' - place * interval '1 minute' as at) a
), made as (
insert into procrastinate_jobs (queue_name, task_name, args, status, attempts, scheduled_at)
select 'chores', chore, jsonb_build_object('what', 'export ' || n),
       case when n <= 3 then 'failed' else 'todo' end::procrastinate_job_status,
       case when n <= 3 then 5 else 0 end,
       case when n > 3 then now() + n * interval '3 hours' end
  from kinds, generate_series(1, 5) as n
 where place = 1
returning id, status
)
-- Without it nobody would know when it failed, and it would be swept away.
insert into procrastinate_events (job_id, type, at)
select id, 'failed', now() from made where status = 'failed'
"""

ALERTS: LiteralString = """
with found as (
    insert into notifications (rule, key, subject, data, at, silent)
    select r.id, 'seeded ' || n, 'nightly-etl',
           jsonb_build_object('run', d.run_id, 'type', d.type, 'error', d.error),
           now() - n * interval '9 hours', case n when 3 then 'quiet' when 7 then 'snoozed' end
      from generate_series(1, 12) as n,
           (select id from notification_rules where name = 'nightly-failed') r,
           (select * from dead_letters order by id desc limit 1) d
    returning id, at, silent
)
insert into notification_deliveries (notification, channel, state, attempts, next_at, error,
                                     tried_at, delivered_at)
select f.id, c.id, case when f.id % 3 = 0 then 'FAILED' else 'DELIVERED' end,
       case when f.id % 3 = 0 then 12 else 1 end, null,
       case when f.id % 3 = 0 then 'connection to mail.werk.example refused' end,
       f.at, case when f.id % 3 > 0 then f.at end
  from found f, notification_channels c
 where f.silent is null and c.name = 'schichtleitung'
"""

LIMIT: LiteralString = """
-- One of its places rests, or it would be swept away as a limit that nobody asks for.
insert into limit_slots (key, slot, free_at)
select 'dhl-labels', n, case when n = 1 then now() + interval '1 day' end
  from generate_series(1, 4) as n
"""


# What the chore counts hour by hour, in one go: it may have counted some before they were filled.
HOURS: LiteralString = """
begin;
lock table run_rollups, attempt_rollups in exclusive mode;
delete from run_rollups;
delete from attempt_rollups;
insert into run_rollups (hour, type, state, runs, seconds, p50, p95)
select date_trunc('hour', created_at), type, state, count(*),
       sum(extract(epoch from finished_at - started_at)),
       percentile_cont(0.5) within group (order by extract(epoch from finished_at - started_at)),
       percentile_cont(0.95) within group (order by extract(epoch from finished_at - started_at))
  from runs
 where finished_at is not null and created_at < date_trunc('hour', now())
 group by 1, 2, 3;
insert into attempt_rollups (
    hour, type, attempts, again, failed, seconds, again_seconds, begun, waited
)
select date_trunc('hour', a.finished_at), r.type, count(*), count(*) filter (where a.number > 1),
       count(*) filter (where a.state <> 'SUCCEEDED'),
       sum(extract(epoch from a.finished_at - a.started_at)),
       coalesce(sum(extract(epoch from a.finished_at - a.started_at))
                    filter (where a.number > 1), 0),
       count(*) filter (where a.number = 1 and t.required = 0),
       coalesce(sum(greatest(0, extract(epoch from a.started_at - r.created_at)))
                    filter (where a.number = 1 and t.required = 0), 0)
  from attempts a
  join runs r on r.id = a.run_id
  join tasks t on t.id = a.task_id
 where a.finished_at < date_trunc('hour', now()) and a.started_at is not null
 group by 1, 2;
commit;
"""


async def seed(http: httpx.AsyncClient, dsn: str, size: Size) -> None:
    """Fill the database of a server that `http` asks: through it, and the past behind its back."""
    async with await AsyncConnection.connect(
        dsn, autocommit=True, cursor_factory=AsyncClientCursor
    ) as conn:
        seeding = Seeding(http)
        await before(conn, size)
        await seed_workstations(conn)
        await seeding.publish()
        await seeding.people()
        await seeding.belongings()
        await fill(conn, size)
        await conn.execute(HOURS)
        await conn.execute(CHORES, {})
        await conn.execute(ALERTS)
        await conn.execute(LIMIT)
        await seeding.timetable()
        await seeding.living()
        await hand_over(conn)


async def before(conn: Conn, size: Size) -> None:
    names, queues = list(MACHINES), list(MACHINES.values())
    await conn.execute(HOLDERS, {"names": names, "queues": queues})
    await conn.execute(EVENTS, {"events": size.events})


class Seeding:
    """What is made through the server, as people make it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = await self.http.request(method, path, json=body, **more)
        assert answer.is_success, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    async def publish(self) -> None:
        for text in (*BEFORE, *(sort.text for sort in SORTS), TYPE, ASKING):
            answer = await self.http.post(
                "/process-types", content=text, headers={"Content-Type": "application/yaml"}
            )
            assert answer.is_success, answer.text

    async def people(self) -> None:
        for name, (role, shown) in PEOPLE.items():
            body = {"name": name, "role": role, "display_name": shown}
            await self.ask("POST", "/users", {**body, "email": f"{name}@werk.example"})
            link = await self.ask("POST", f"/users/{name}/password-link")
            await self.ask("POST", "/password", {"token": link["token"], "password": PASSWORD})
        for name, role, user in (
            ("notebook", "viewer", "anna"), ("Leitstand", "operator", None), ("CI", "author", None),
        ):  # fmt: skip
            await self.ask("POST", "/tokens", {"name": name, "role": role, "user": user})
        narrow = {"name": "shop", "role": "operator", "scopes": ["events", "runs"]}
        await self.ask("POST", "/tokens", {**narrow, "expires_at": "2031-01-01T00:00:00Z"})

    async def belongings(self) -> None:
        for name, note in (
            ("erp/password", "Benutzer procession, nur lesen"), ("dhl/api-key", "Vertrag 2210"),
            ("webhooks/github", ""), ("backup/site-b", "rsync"),
        ):  # fmt: skip
            body = {"value": "not what it really is", "note": note, "grants": ["backup-database"]}
            await self.ask("PUT", f"/secrets/{name.replace('/', '%2F')}", body)
        for name, value in (("site", "Werk Süd"), ("erp_host", "erp.werk.example"), ("copies", 2)):
            await self.ask("PUT", f"/variables/{name}", {"value": value, "note": "for all types"})
        hook = {"scheme": "github", "secret": "webhooks/github", "key": "${{ body.ref }}"}
        await self.ask("PUT", "/webhooks/github", {"spec": hook})
        desk = {"name": "schichtleitung", "email": {"to": ["schicht@werk.example"]}}
        await self.ask("POST", "/notifications/channels", desk)
        for name, event, more in (
            ("nightly-failed", "failed", {"type": "nightly-etl"}),
            ("many-dead-letters", "dead_letters", {"count": 50}),
            ("approvals-open", "approval", {"after": "2h"}),
        ):
            rule = {"name": name, "event": event, "channels": ["schichtleitung"], **more}
            await self.ask("POST", "/notifications/rules", rule)
        pause = {"note": "Datensicherung der Buchhaltung bis 22 Uhr"}
        await self.ask("POST", "/queues/nightly/pause", pause)
        rules = {"type": "sensor-import", "status": "COMPLETED", "keep_for": "30d"}
        await self.ask("PUT", "/retention/rules", rules)

    async def timetable(self) -> None:
        listed = await self.ask("GET", "/schedules?limit=100")
        of = {each["type"]: each["id"] for each in listed["items"]}
        note = {"note": "Umbau der Halle bis Freitag"}
        await self.ask("POST", f"/schedules/{of['maschinen-wartung']}/pause", note)
        now = datetime.now(UTC)
        wish = {"from": (now - timedelta(days=9)).isoformat(), "until": now.isoformat()}
        path = f"/schedules/{of['log-rotation']}/backfill"
        await self.ask("POST", path, {**wish, "per_minute": 1, "at_once": 1})
        await self.ask("POST", "/dead-letters/selections", {"all": True})
        await self.ask("POST", "/runs/selections", {"type": "laser-cutter", "status": ["FAILED"]})

    async def living(self) -> None:
        """Runs that really go on, wait and ask, where there is a worker."""
        day = datetime.now(UTC).date().isoformat()
        for type, input in (
            ("press-line", {"order": "A-7311", "pieces": 900}),
            ("press-line", {"order": "A-7312", "pieces": 2400, "tool": "W-204"}),
            ("invoice-run", {"day": day, "mandant": "Süd"}),
            ("employee.onboard", {"name": "Özlem Groß", "department": "IT"}),
            ("employee.onboard", {"name": "Bjørn Åkesson", "department": "Fertigung"}),
            ("employee.leave", {"name": "Jürgen Müller-Lüdenscheidt"}),
            ("web-shop.deploy", {"version": "v4.61.0", "stage": "live"}),
            ("payroll.monthly", {}),
            ("customer-export", {}),
            *(
                ("press-tool-change", {"press": press, "tool": f"W-{n}"})
                for n, press in enumerate(("presse-1", "presse-3", "presse-1", "presse-1"), 201)
            ),
            ("press-release", {"press": "presse-1"}),
            *(("laser-cutter", {"sheet": f"T-2041{n}", "thickness": n}) for n in range(1, 6)),
        ):
            body = {"type": type, "input": input, "labels": {"shift": "früh"}}
            await self.ask("POST", "/runs", body)
        held = await self.ask("POST", "/runs", {"type": "customer-export"})  # its queue is paused
        await self.ask("POST", f"/runs/{held['id']}/hold")
        for n in range(3):
            event = {"source": "shop", "id": f"new-{n}", "type": "shop.order.paid", "key": f"N{n}"}
            await self.ask("POST", "/events", {**event, "data": {"total": 99}})


async def in_folder(folder: Path, size: Size) -> None:
    found = left_in(folder)
    if found is None or found.token is None:
        raise SystemExit(f"no server runs in {folder}: procession up --data-dir {folder}")
    database = await EmbeddedPostgres(folder).start()
    if not database.adopted:
        raise SystemExit(f"the database in {folder} does not run: procession up")
    async with httpx.AsyncClient(
        base_url=f"{found.url}/api/v1",
        headers={"Authorization": f"Bearer {found.token}"},
        timeout=60,
        trust_env=False,
    ) as http:
        await seed(http, database.url, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="the data folder of `procession up`")
    parser.add_argument("--runs", type=int, default=Size().runs)
    given = parser.parse_args()
    asyncio.run(in_folder(given.folder, Size.of(given.runs)))
    print(f"{given.runs} runs; sign in as {', '.join(PEOPLE)} with: {PASSWORD}")


if __name__ == "__main__":
    main()
