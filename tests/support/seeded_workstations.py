"""The workstations of that firm: in two halls, some away, one that wants to be let in."""

import hashlib
from typing import Any, LiteralString

from edge import identity
from tests.support.builders import claimed
from tests.support.seeded_runs import Conn

TYPE = """
name: press-tool-change
description: Werkzeugwechsel an einer Presse, mit Freigabe durch die Qualität
labels: {team: fertigung}
input:
  type: object
  required: [press, tool]
  properties:
    press: {type: string, title: Presse}
    tool: {type: string, title: Werkzeug}
tasks:
  - name: change-tool
    description: |
      Presse auf Rüsten stellen, Schutzgitter öffnen.
      Werkzeug ${{ input.tool }} mit dem Kran einsetzen, vier Spannschrauben mit 180 Nm anziehen.
      Schutzgitter schließen und den roten Knopf herausziehen.
    run: [echo, tool is in]
    on: {workstation: "${{ input.press }}"}
  - name: first-piece
    needs: [change-tool]
    run: [echo, first piece made]
    on: {workstation: "${{ input.press }}"}
"""

ASKING = """
name: press-release
description: Freigabe des ersten Teils
labels: {team: qualitaet}
input: {type: object, properties: {press: {type: string, default: presse-1}}}
tasks:
  - {name: sample, run: [echo, sample], on: {workstation: "${{ input.press }}"}}
  - name: quality
    needs: []
    approval:
      message: Ist das erste Teil gut?
      form:
        type: object
        required: [diameter]
        properties:
          diameter: {type: number, title: Durchmesser in mm, minimum: 10, maximum: 90}
          scratch: {type: boolean, title: Kratzer}
"""

# Each: name, state, labels, seconds since it was heard, how long it is away each week, and so on.
MADE: LiteralString = """
with told (name, state, line, hall, ago, carrier, skew, trip, outbox, oldest, heat, disk, slots)
as (
    values ('presse-1', 'ACCEPTED', '1', 'nord', 2, 'stream', 0.004, 0.003, 0, 0, 47, 0.41, 2),
           ('presse-2', 'ACCEPTED', '1', 'nord', 40, 'stream', 0.02, 0.011, 3, 40, 52, 0.66, 2),
           ('presse-3', 'ACCEPTED', '2', 'nord', 6000, 'stream', 1.2, 0.09, 214, 5900, 61, 0.7, 2),
           ('saege-1', 'ACCEPTED', '2', 'nord', 4, 'poll', -0.3, 0.14, 1, 3, 39, 0.22, 1),
           ('lackieren', 'ACCEPTED', '3', 'süd', 9, 'stream', 312.5, 0.02, 0, 0, 84, 0.96, 4),
           ('packen', 'ACCEPTED', '3', 'süd', 90000, 'stream', 0, 0.004, 12, 88000, 31, 0.5, 1),
           ('messraum-pi', 'PENDING', '', 'süd', null, null, null, null, null, null, null, null, 1),
           ('alte-saege', 'REVOKED', '2', 'nord', 800000, 'stream', 0.1, 0.1, 0, 0, 40, 0.3, 1)
), made as (
    insert into workstations (name, state, labels, note, public_key, sealing_key, slots, version,
                              facts, policy, told_labels, carrier, connected_at, heard_at, skew,
                              round_trip, metrics, server, draining, drain_reason, drained_by,
                              drained_at, created_by, accepted_at, accepted_by, revoked_at,
                              revoked_by, invitation, created_at)
    select name, state::workstation_state,
           case when line = '' then '{}' else jsonb_build_object('line', line) end
               || jsonb_build_object('site', hall),
           case when name = 'presse-1' then 'Schlüssel hängt beim Meister' end,
           keys.key, 'sealing of ' || name, slots, '0.1.0',
           jsonb_build_object('hostname', name || '.halle.example', 'system', 'Debian 12',
                              'architecture', 'aarch64', 'processors', 4, 'memory', 4026531840,
                              'model', 'Raspberry Pi 4 Model B'),
           case when name in ('presse-1', 'presse-2') then
               jsonb_build_object('digest', encode(sha256(convert_to(name, 'UTF8')), 'hex'),
                                  'programs', array['/usr/bin/echo', '/opt/press/bin/*'],
                                  'shells', array[]::text[], 'roots', array['/opt/press'],
                                  'users', array['press'], 'has_hours', false, 'max_runtime', 7200)
           else '{}' end,
           jsonb_build_object('arch', 'arm64'), carrier, now() - ago * interval '1 second',
           now() - ago * interval '1 second', skew, trip,
           case when ago is null then '{}' else
               jsonb_build_object('cpu', 0.07, 'load', 0.31, 'memory_total', 4026531840,
                                  'memory_free', 2100000000, 'disk_total', 32000000000,
                                  'disk_free', 32000000000 * (1 - disk), 'temperature', heat,
                                  'outbox_items', outbox, 'outbox_bytes', outbox * 310,
                                  'outbox_oldest_seconds', oldest) end,
           'werk-1', name = 'lackieren',
           case when name = 'lackieren' then 'Filter wird gewechselt, bis Freitag' end,
           case when name = 'lackieren' then 'joerg' end,
           case when name = 'lackieren' then now() - interval '3 hours' end,
           'anna', case when state <> 'PENDING' then now() - interval '200 days' end,
           case when state <> 'PENDING' then 'anna' end,
           case when state = 'REVOKED' then now() - interval '9 days' end,
           case when state = 'REVOKED' then 'anna' end,
           case when state = 'PENDING' then %(invitation)s::bigint end,
           case when state = 'PENDING' then now() - interval '4 minutes'
                else now() - interval '200 days' end
      from told
      join unnest(%(names)s::text[], %(keys)s::text[]) as keys (of, key) on keys.of = told.name
    returning id, name, state, heard_at
), holding as (
    insert into holders (name, kind, incarnation, host, pid, version, queues, slots, lease_until)
    select 'ws:' || name, 'agent', 'seeded ' || id, name, 1, '0.1.0', array['ws:' || name], 2,
           '9000-01-01'
      from made
     where state = 'ACCEPTED'
    returning id, name
), seen as (
    -- A week of shifts, with nights in between.
    insert into workstation_sightings (workstation, began_at, ended_at, carrier, why)
    select id, began, case when day > 0 or heard_at < now() - interval '1 minute'
                           then least(began + interval '15 hours', heard_at) end,
           'stream', case when day %% 3 = 0 then 'nothing was heard for 45 s' else 'bye' end
      from made,
           generate_series(0, 6) as day,
           lateral (select date_trunc('day', now()) - day * interval '1 day'
                           - interval '18 hours' + id %% 5 * interval '1 hour' as began) b
     where began < heard_at
    returning workstation
), measured as (
    insert into workstation_metrics (workstation, at, metrics)
    select id, now() - n * interval '15 minutes',
           jsonb_build_object('cpu', 0.05 + 0.04 * (n %% 7), 'memory_total', 4026531840,
                              'memory_free', 1500000000 + 10000000 * (n %% 40),
                              'disk_total', 32000000000, 'disk_free', 14000000000 - 9000000 * n,
                              'temperature', 41 + n %% 13, 'outbox_items', n %% 3)
      from made, generate_series(1, 90) as n
     where state = 'ACCEPTED'
    returning workstation
), asked as (
    insert into workstation_commands (workstation, verb, attempt, reason, asked_at, asked_by,
                                      delivered_at, done_at, applied, why)
    select id, verb, attempt, reason, now() - n * interval '40 minutes', by, delivered, done,
           applied, why
      from made,
           (values (1, 'drain', null, 'Werkzeugwechsel', 'joerg', now(), now(), true, ''),
                   (2, 'undrain', null, '', 'joerg', now(), now(), true, ''),
                   (3, 'hold', '4711.2', 'Stau am Förderband', 'pia', now(), now(), false,
                    'it is over'),
                   (4, 'stop', '4712.1', '', 'joerg', null, null, null, '')
           ) as c (n, verb, attempt, reason, by, delivered, done, applied, why)
     where state = 'ACCEPTED' and (n < 4 or name = 'presse-3')
    returning workstation
)
select count(*) from made
"""

HOLD: LiteralString = """
update workstations w set holder = h.id from holders h
 where h.name = 'ws:' || w.name and h.kind = 'agent'
"""

HAND: LiteralString = """
insert into workstation_hands (workstation, task_id, attempt, run_id, stage, offered_at,
                               accepted_at)
select w.id, t.id, t.attempt, t.run_id, 'RUNNING', now() - interval '7 minutes',
       now() - interval '7 minutes'
  from tasks t
  join workstations w on w.holder = t.holder
 where t.id = any(%(tasks)s)
"""


async def seed_workstations(conn: Conn) -> None:
    """Behind the server's back, as machines would have come in over the years."""
    names = ["presse-1", "presse-2", "presse-3", "saege-1", "lackieren", "packen", "messraum-pi"]
    names.append("alte-saege")
    keys = [identity.told(hashlib.sha256(name.encode()).digest()) for name in names]
    invitation = await invite(conn, "messraum-pi")
    await invite(conn, None)
    await conn.execute(MADE, {"names": names, "keys": keys, "invitation": invitation})
    await conn.execute(HOLD)


async def invite(conn: Conn, name: str | None) -> Any:
    cursor = await conn.execute(
        "insert into workstation_invitations (digest, name, labels, approve, uses, expires_at, "
        "created_by) values (sha256(convert_to(%s, 'UTF8')), %s, '{\"site\": \"süd\"}', %s, %s, "
        "now() + interval '1 day', 'anna') returning id",
        [name or "any", name, name is not None, 1 if name else 12],
    )
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def hand_over(conn: Conn) -> None:
    """What is ready for these is in their hands."""
    for name in ("presse-1", "presse-3"):
        cursor = await conn.execute("select holder from workstations where name = %s", [name])
        row = await cursor.fetchone()
        assert row is not None
        mine = await claimed(conn, row[0], 2, queue=f"ws:{name}")
        await conn.execute(HAND, {"tasks": [task.id for task in mine]})
