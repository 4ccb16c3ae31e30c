-- Statements of deciding what events start.

-- name: take
-- The oldest events that nobody has routed; what another server has in hand is passed over.
with taken as (
    delete from event_backlog
     where id = any(array(
            select id from event_backlog order by id limit %(limit)s for update skip locked
           ))
    returning id
)
select e.id, e.source, e.event_id, e.type, e.key, e.data, e.occurred_at, e.received_at
  from taken t
  join events e on e.id = t.id
 order by e.id;

-- name: backlog
-- How many wait to be routed, counted no further than asked.
select count(*) from (select from event_backlog limit %(most)s) as waiting;

-- name: moment
select clock_timestamp();

-- name: remembered
select m.trigger_id, m.kind, m.key, m.until, m.times, array(
        select r.id from runs r where r.id = any(m.living) and r.finished_at is null
       ) as living
  from trigger_memories m
  join unnest(%(triggers)s::bigint[], %(kinds)s::text[], %(keys)s::text[]) as w (trigger_id, kind, key)
    on w.trigger_id = m.trigger_id and w.kind = m.kind and w.key = m.key;

-- name: remember
insert into trigger_memories (trigger_id, kind, key, until, times, living)
select trigger_id, kind, key, until, times::timestamptz[], living::uuid[]
  from unnest(
    %(triggers)s::bigint[], %(kinds)s::text[], %(keys)s::text[], %(untils)s::timestamptz[],
    %(times)s::text[], %(living)s::text[]
  ) as m (trigger_id, kind, key, until, times, living)
on conflict (trigger_id, kind, key) do update
   set until = excluded.until, times = excluded.times, living = excluded.living;

-- name: open
-- Starts that still gather events.
select p.id, p.trigger_id, p.kind, p.key, p.turn, p.gathers, p.input, p.events, p.size,
       p.last_event, p.first_at, p.due_at
  from pending_starts p
  join unnest(%(triggers)s::bigint[], %(keys)s::text[]) as w (trigger_id, key)
    on w.trigger_id = p.trigger_id and w.key = p.key
 where p.kind in ('debounce', 'batch');

-- name: queued
-- How many wait for their turn, by key.
select p.trigger_id, p.key, count(*) as count
  from pending_starts p
  join unnest(%(triggers)s::bigint[], %(keys)s::text[]) as w (trigger_id, key)
    on w.trigger_id = p.trigger_id and w.key = p.key
 where p.kind = 'queue'
 group by p.trigger_id, p.key;

-- name: wait
insert into pending_starts (
    trigger_id, kind, key, turn, gathers, input, events, size, last_event, first_at, due_at
)
select trigger_id, kind, key, turn, gathers, input, events, size, last_event, first_at, due_at
  from unnest(
    %(triggers)s::bigint[], %(kinds)s::text[], %(keys)s::text[], %(turns)s::text[],
    %(gathers)s::boolean[], %(inputs)s::jsonb[], %(events)s::integer[], %(sizes)s::bigint[],
    %(last_events)s::bigint[], %(firsts)s::timestamptz[], %(dues)s::timestamptz[]
  ) with ordinality as p (
    trigger_id, kind, key, turn, gathers, input, events, size, last_event, first_at, due_at, place
  )
 order by place
returning id, trigger_id, last_event;

-- name: rewait
update pending_starts p
   set kind = u.kind, input = u.input, events = u.events, size = u.size,
       last_event = u.last_event, first_at = u.first_at, due_at = u.due_at
  from unnest(
    %(ids)s::bigint[], %(kinds)s::text[], %(inputs)s::jsonb[], %(events)s::integer[],
    %(sizes)s::bigint[], %(last_events)s::bigint[], %(firsts)s::timestamptz[],
    %(dues)s::timestamptz[]
  ) as u (id, kind, input, events, size, last_event, first_at, due_at)
 where p.id = u.id;

-- name: due
-- Of triggers that are locked.
select id, trigger_id, kind, key, turn, gathers, input, events, size, last_event, first_at, due_at
  from pending_starts
 where trigger_id = any(%(triggers)s) and due_at <= (select clock_timestamp())
 order by due_at, id
 limit %(limit)s;

-- name: over
delete from pending_starts where id = any(%(ids)s);

-- name: postpone
update pending_starts set due_at = %(until)s where id = any(%(ids)s);

-- name: next_due
-- In how many seconds somebody is to look again; null if at no time that is known.
select extract(epoch from p.due_at - clock_timestamp())::float8
  from pending_starts p
 where exists (select from triggers t where t.id = p.trigger_id and t.paused_at is null)
 order by p.due_at
 limit 1;

-- name: gathered
select d.waiting, e.id, e.source, e.event_id, e.type, e.key, e.data, e.occurred_at, e.received_at
  from trigger_decisions d
  join events e on e.id = d.event_id
 where d.waiting = any(%(waiting)s)
 order by e.id;

-- name: decide
insert into trigger_decisions (trigger_id, event_id, fate, run_id, waiting, reason)
select trigger_id, event_id, fate::trigger_fate, run_id, waiting, reason
  from unnest(
    %(triggers)s::bigint[], %(events)s::bigint[], %(fates)s::text[], %(runs)s::uuid[],
    %(waiting)s::bigint[], %(reasons)s::text[]
  ) as d (trigger_id, event_id, fate, run_id, waiting, reason);

-- name: settle
-- The last event started the run, and the others went into it; or none of them did.
update trigger_decisions d
   set fate = (case when d.event_id = u.last_event or u.run_id is null then u.fate
                    else 'MERGED' end)::trigger_fate,
       run_id = u.run_id, waiting = null, decided_at = clock_timestamp(),
       reason = case when d.event_id = u.last_event or u.run_id is null then u.reason
                     else 'it started with later events' end
  from unnest(
    %(waiting)s::bigint[], %(last_events)s::bigint[], %(fates)s::text[], %(runs)s::uuid[],
    %(reasons)s::text[]
  ) as u (waiting, last_event, fate, run_id, reason)
 where d.waiting = u.waiting;

-- name: of_trigger
-- The newest first, after a cursor.
select trigger_id, event_id, fate::text as fate, run_id, reason, decided_at
  from trigger_decisions
 where trigger_id = %(trigger)s
   and event_id < coalesce(%(after)s, 9223372036854775807)
   and (%(fate)s::text is null or fate::text = %(fate)s)
 order by event_id desc
 limit %(limit)s;

-- name: of_event
select trigger_id, event_id, fate::text as fate, run_id, reason, decided_at
  from trigger_decisions
 where event_id = %(event)s
 order by trigger_id
 limit 1000;

-- name: forget
-- What no decision depends on any more: also none about an event that was routed a day late, and
-- about runs that go on for days.
delete from trigger_memories
 where (trigger_id, kind, key) in (
        select trigger_id, kind, key
          from trigger_memories m
         where until < (select clock_timestamp() - interval '1 day')
           and not exists (
                select from runs r where r.id = any(m.living) and r.finished_at is null
           )
         limit %(limit)s
           for update skip locked
       );
