-- Workstations as people look at them. Counts and lists end somewhere.

-- name: workstations
-- By name, after a cursor. Labels that people gave stand before those that it told.
select w.id, w.name, w.state::text as state,
       workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen, w.draining,
       w.drain_reason, w.told_labels || w.labels as labels, w.slots, w.version, w.carrier,
       w.connected_at, w.heard_at, w.skew, w.round_trip, w.metrics, w.facts, w.address,
       w.is_dialled, w.created_at, w.public_key, w.told_drain, w.unfit,
       (select count(*) from workstation_hands h where h.workstation = w.id and h.stage <> 'OVER')
           as in_hand
  from workstations w
 where w.name > %(after)s
   and (%(states)s::text[] is null
        or workstation_seen(w.state, w.heard_at, w.carrier, w.draining) = any(%(states)s)
        or (w.draining and w.state = 'ACCEPTED' and 'DRAINING' = any(%(states)s)))
   and (%(label)s::jsonb is null or (w.told_labels || w.labels) @> %(label)s::jsonb)
   and (%(text)s::text is null
        or strpos(lower(w.name), lower(%(text)s)) > 0
        or strpos(lower(coalesce(w.facts ->> 'hostname', '')), lower(%(text)s)) > 0)
 order by w.name
 limit %(limit)s;

-- name: counts
select workstation_seen(state, heard_at, carrier, draining) as seen, count(*) as workstations
  from workstations
 group by 1;

-- name: needing
-- Those that are out of sight with work in hand, those that wait for somebody, those that keep much
-- to send.
select w.name, workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen, w.heard_at,
       h.in_hand
  from workstations w
 cross join lateral (
    select count(*) as in_hand
      from workstation_hands
     where workstation = w.id and stage <> 'OVER'
 ) as h
 where (w.state = 'ACCEPTED' and h.in_hand > 0
        and workstation_seen(w.state, w.heard_at, w.carrier, w.draining) = 'OFFLINE')
    or w.state = 'PENDING'
 order by w.name
 limit %(limit)s;

-- name: sites
-- The values of one label, for whoever chooses among them.
select distinct (told_labels || labels) ->> %(name)s as site
  from workstations
 where (told_labels || labels) ? %(name)s
 order by 1
 limit %(limit)s;

-- name: named
-- Of these names, those that there are.
select w.id, w.name, w.state::text as state,
       workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen, w.draining,
       w.drain_reason, w.labels, w.told_labels, w.slots, w.heard_at,
       (select count(*) from workstation_hands h where h.workstation = w.id and h.stage <> 'OVER')
           as in_hand
  from workstations w
 where w.name = any(%(names)s::text[])
 order by w.name;

-- name: one
select w.id, w.name, w.state::text as state,
       workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen, w.labels,
       w.told_labels, w.note, w.public_key, w.address, w.is_dialled, w.slots, w.version, w.facts,
       w.policy, w.server, w.carrier, w.connected_at, w.heard_at, w.skew, w.round_trip, w.metrics,
       w.lineage, w.have, w.draining, w.drain_reason, w.drained_by, w.drained_at, w.created_at,
       w.told_drain, w.unfit, w.created_by, w.accepted_at, w.accepted_by, w.revoked_at, w.revoked_by,
       (select count(*) from workstation_hands h where h.workstation = w.id and h.stage <> 'OVER')
           as in_hand
  from workstations w
 where w.name = %(name)s;

-- name: in_hand
-- What each of these has in hand, the oldest first. A task that is not ours any more has no row.
select w.id as workstation, h.task_id, h.attempt, h.stage::text as stage, h.offered_at,
       h.accepted_at, t.name as task, t.position, t.queue, t.started_at, t.progress, h.run_id as run,
       r.type, r.record_id
  from unnest(%(workstations)s::bigint[]) as w (id)
 cross join lateral (
    select *
      from workstation_hands
     where workstation = w.id and stage <> 'OVER'
     order by offered_at, task_id
     limit %(each)s
 ) as h
  join runs r on r.id = h.run_id
  left join tasks t on t.id = h.task_id
 order by h.offered_at, h.task_id;

-- name: presence
-- When these were there within the last week.
select workstation, greatest(began_at, now() - interval '7 days') as since,
       coalesce(ended_at, now()) as until
  from workstation_sightings
 where workstation = any(%(workstations)s::bigint[])
   and (ended_at is null or ended_at > now() - interval '7 days')
 order by workstation, began_at desc
 limit %(limit)s;

-- name: sightings
select began_at, ended_at, carrier, why
  from workstation_sightings
 where workstation = %(workstation)s
 order by began_at desc
 limit %(limit)s;

-- name: commands
select id, verb, attempt, reason, asked_at, asked_by, expires_at, delivered_at, done_at, applied, why
  from workstation_commands
 where workstation = %(workstation)s
 order by id desc
 limit %(limit)s;

-- name: metrics
-- One for each quarter of an hour of the last day, the oldest first.
select distinct on (date_bin('15 minutes', at, timestamptz '2000-01-01'))
       at, metrics
  from workstation_metrics
 where workstation = %(workstation)s and at > now() - interval '24 hours'
 order by date_bin('15 minutes', at, timestamptz '2000-01-01'), at desc;

-- name: recent
-- The latest runs that were there, or that it decides about.
select r.id, r.type, r.record_id, r.state::text as state, r.created_at, r.started_at, r.finished_at,
       left(r.error, 300) as error, m.at
  from (
    select run_id, max(at) as at
      from (
        (select run_id, offered_at as at
           from workstation_hands
          where workstation = %(workstation)s
          order by offered_at desc
          limit %(most)s)
        union all
        (select id, created_at
           from runs
          where workstation = %(workstation)s
          order by created_at desc
          limit %(limit)s)
      ) as few
     group by run_id
     order by 2 desc
     limit %(limit)s
  ) as m
  join runs r on r.id = m.run_id
 order by m.at desc;

-- name: work
-- What concerns whoever stands before it: what goes on there, what is held, what failed lately.
with mine as (
    select run_id, max(at) as at
      from (
        (select run_id, offered_at as at
           from workstation_hands
          where workstation = %(workstation)s
          order by offered_at desc
          limit %(most)s)
        union all
        (select run_id, offered_at
           from workstation_hands
          where workstation = %(workstation)s and stage <> 'OVER')
        union all
        (select id, created_at
           from runs
          where workstation = %(workstation)s
          order by created_at desc
          limit %(most)s)
      ) as few
     group by run_id
)
select r.id, r.type, r.type_version, r.record_id, r.state::text as state, r.created_at,
       r.started_at, r.finished_at, r.total, r.open, r.workstation, left(r.error, 300) as error,
       case when pg_column_size(r.input) < 65536 then r.input else '{}' end as input, t.task,
       t.position, t.attempt, t.progress, t.since,
       r.workstation is not null and exists (
           select from tasks k
            where k.run_id = r.id and k.state = 'WAITING' and k.reason = 'approval'
       ) as asks_there
  from mine m
  join runs r on r.id = m.run_id
  left join lateral (
    select k.name as task, k.position, k.attempt, k.progress, k.started_at as since
      from tasks k
      join workstations w on w.holder = k.holder
     where k.run_id = r.id and k.state = 'IN_PROGRESS' and w.id = %(workstation)s
     order by k.started_at
     limit 1
  ) as t on true
 where t.task is not null
    or r.state in ('HOLDING', 'HELD', 'STOPPING')
    or (r.workstation = %(workstation)s and r.finished_at is null)
    or (r.state in ('FAILED', 'STOPPED') and r.finished_at > now() - interval '12 hours')
 order by r.finished_at is not null, t.task is null, m.at desc
 limit %(limit)s;

-- name: asked
-- What runs that were there ask of people.
select a.id, a.run_id, a.task_id, a.attempt, t.name as task, r.type, r.record_id,
       a.state::text as state, a.message, a.who, a.form, a.due_at, a.asked_at
  from approvals a
  join tasks t on t.id = a.task_id
  join runs r on r.id = a.run_id
 where a.state = 'OPEN'
   and (r.workstation = %(workstation)s
        or exists (
            select from workstation_hands h
             where h.run_id = a.run_id and h.workstation = %(workstation)s))
 order by a.id
 limit %(limit)s;

-- name: next_up
-- What is claimed next from any of these queues.
select t.id as task_id, t.name as task, t.position, t.queue, r.id as run, r.type, r.record_id,
       r.created_at
  from (
    select few.*
      from unnest(%(queues)s::text[]) as q (name)
     cross join lateral (
        select id, run_id, name, position, queue, rank, ready_seq
          from tasks
         where state = 'READY' and queue = q.name
         order by rank, ready_seq
         limit %(limit)s
     ) as few
     order by few.rank, few.ready_seq
     limit %(limit)s
  ) as t
  join runs r on r.id = t.run_id
 order by t.rank, t.ready_seq;

-- name: of_tasks
-- At which workstation these tasks of a run are, or were carried out last.
select t.position, w.name, workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen,
       w.heard_at
  from tasks t
  left join attempts a on a.task_id = t.id and a.number = t.attempt
  join holders h on h.id = coalesce(t.holder, a.holder) and h.kind = 'agent'
  join workstations w on 'ws:' || w.name = h.name
 where t.run_id = %(run)s and t.position = any(%(positions)s::integer[])
 order by t.position;

-- name: of_queues
-- Those that these queues name, that have these holders, or that decide about the run: whoever
-- waits, waits for them.
select w.name, workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen, w.heard_at,
       w.drain_reason
  from workstations w
 where 'ws:' || w.name = any(%(queues)s::text[])
    or w.holder = any(%(holders)s::bigint[])
    or w.id = (select workstation from runs where id = %(run)s)
 order by w.name
 limit %(limit)s;

-- name: of_holders
-- By holder, whatever incarnation of it that was.
select h.id as holder, w.name, workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen,
       w.heard_at, w.carrier, w.skew, w.round_trip
  from holders h
  join workstations w on 'ws:' || w.name = h.name
 where h.id = any(%(holders)s::bigint[]) and h.kind = 'agent';

-- name: invitations
-- Words that still let somebody in, the newest first.
select id, name, labels, approve, cidr::text as cidr, uses, expires_at, created_at, created_by
  from workstation_invitations
 where expires_at > now() and uses > 0
 order by id desc
 limit %(limit)s;

-- name: invitation
select id, name, labels, approve, cidr::text as cidr, uses, expires_at, created_at, created_by,
       expires_at <= now() as is_over
  from workstation_invitations
 where id = %(id)s;

-- name: joined
-- Who came with an invitation.
select id, name, state::text as state,
       workstation_seen(state, heard_at, carrier, draining) as seen, draining, labels, public_key,
       heard_at, connected_at, accepted_at, created_at
  from workstations
 where invitation = %(invitation)s
 order by id
 limit %(limit)s;

-- name: found
-- By a part of the name; a name that begins so comes first.
select name, workstation_seen(state, heard_at, carrier, draining) as seen
  from workstations
 where strpos(lower(name), lower(%(text)s)) > 0
 order by strpos(lower(name), lower(%(text)s)) > 1, name
 limit %(limit)s;
