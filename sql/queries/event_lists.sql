-- What people look at of events. Ids go with time, so a stretch of time is a stretch of ids, and a
-- list that is filtered looks through a bounded number of them for each page.

-- name: page
select id, source, event_id, type, key, data, attributes, occurred_at, received_at, received_by
  from (
    select id, source, event_id, type, key, data, attributes, occurred_at, received_at, received_by
      from events
     where id < coalesce(%(after)s::bigint, 9223372036854775807)
       and id >= coalesce(%(least)s::bigint, 0)
     order by id desc
     limit %(window)s
  ) as w
 where (%(type)s::text is null or type = %(type)s)
   and (%(key)s::text is null or key = %(key)s)
   and (%(source)s::text is null or source = %(source)s)
   and (%(since)s::timestamptz is null or received_at >= %(since)s)
   and (%(until)s::timestamptz is null or received_at < %(until)s)
 order by id desc
 limit %(limit)s;

-- name: bottom
-- Where the stretch that a page looks through ends; null if there is nothing behind it.
select case when count(*) = %(window)s then min(id) end
  from (
    select id
      from events
     where id < coalesce(%(after)s::bigint, 9223372036854775807)
       and id >= coalesce(%(least)s::bigint, 0)
     order by id desc
     limit %(window)s
  ) as w;

-- name: first_since
-- The first event that came at a time or later, found by halves; those that came within the same
-- second may have come in another order.
with recursive search as (
    select coalesce(min(id), 1) as low, coalesce(max(id), 0) + 1 as high, 0 as turn from events
    union all
    select case when m.received_at < %(moment)s::timestamptz - interval '1 second'
                then m.middle + 1 else s.low end,
           case when m.received_at < %(moment)s::timestamptz - interval '1 second'
                then s.high else m.middle end,
           s.turn + 1
      from search s
     cross join lateral (
        select (s.low + s.high) / 2 as middle,
               (select received_at from events
                 where id >= (s.low + s.high) / 2 order by id limit 1) as received_at
     ) as m
     where s.low < s.high and s.turn < 64
)
select low from search order by turn desc limit 1;

-- name: waiting
-- Tasks that wait for such an event, or that this one was given or was not wanted by.
select w.task_id, w.run_id, w.after, t.name as task, t.state::text as state, r.type, r.record_id,
       r.state::text as run_state
  from waits w
  join tasks t on t.id = w.task_id
  join runs r on r.id = w.run_id
 where w.type = %(type)s and w.key = %(key)s
   and (w.after = %(event)s
        or (%(event)s::bigint is null and t.state = 'WAITING' and t.reason = 'signal'))
 order by w.task_id desc
 limit %(limit)s;

-- name: decisions
-- What triggers made of an event, with what they and their runs are called.
select d.trigger_id, d.event_id, d.fate::text as fate, d.run_id, d.reason, d.decided_at, g.name,
       g.type, g.record_id, r.state::text as run_state
  from trigger_decisions d
  join triggers g on g.id = d.trigger_id
  left join runs r on r.id = d.run_id
 where d.event_id = %(event)s
 order by d.trigger_id
 limit %(limit)s;

-- name: of_trigger
-- The newest first, after a cursor, with what they were about.
select d.trigger_id, d.event_id, d.fate::text as fate, d.run_id, d.reason, d.decided_at, e.type,
       e.key, e.source, r.state::text as run_state
  from trigger_decisions d
  left join events e on e.id = d.event_id
  left join runs r on r.id = d.run_id
 where d.trigger_id = %(trigger)s
   and d.event_id < coalesce(%(after)s::bigint, 9223372036854775807)
   and (%(fate)s::text is null or d.fate::text = %(fate)s)
 order by d.event_id desc
 limit %(limit)s;

-- name: pending
-- Starts of a trigger that wait for quiet, for more, or for their turn.
select id, kind, key, events, first_at, due_at
  from pending_starts
 where trigger_id = %(trigger)s
 order by id
 limit %(limit)s;

-- name: triggers
-- In the order of their making, each with what it decided last.
select t.id, t.name, t.type, t.record_id, t.spec, t.origin, t.version, t.patterns, t.paused_at,
       t.paused_by, t.note, t.created_at, t.created_by, t.updated_at,
       d.event_id, d.fate, d.run_id, d.reason, d.decided_at
  from triggers t
  left join lateral (
    select event_id, fate::text as fate, run_id, reason, decided_at
      from trigger_decisions
     where trigger_id = t.id
     order by event_id desc
     limit 1
  ) as d on true
 where t.id > coalesce(%(after)s::bigint, 0)
   and (%(type)s::text is null or t.type = %(type)s)
   and (%(record)s::text is null or t.record_id = %(record)s)
   and (%(paused)s::boolean is null or (t.paused_at is not null) = %(paused)s)
 order by t.id
 limit %(limit)s;
