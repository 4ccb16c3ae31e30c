-- What people look at of schedules: the soonest first, with what became of the last tick.

-- name: page
-- Those that come to a time first, in its order; then those that come to none any more or wait for
-- somebody, in the order of their making. A cursor is a time and an id, or an id alone.
with found as (
    (select s.id, s.next_at
       from schedules s
      where s.next_at is not null
        and not %(is_tail)s
        and (%(after_at)s::timestamptz is null
             or (s.next_at, s.id) > (%(after_at)s::timestamptz, %(after)s::bigint))
        and (%(type)s::text is null or s.type = %(type)s)
        and (%(record)s::text is null or s.record_id = %(record)s)
        and (%(paused)s::boolean is null or (s.paused_at is not null) = %(paused)s)
      order by s.next_at, s.id
      limit %(limit)s)
    union all
    (select s.id, null
       from schedules s
      where s.next_at is null
        and (not %(is_tail)s or s.id > %(after)s::bigint)
        and (%(type)s::text is null or s.type = %(type)s)
        and (%(record)s::text is null or s.record_id = %(record)s)
        and (%(paused)s::boolean is null or (s.paused_at is not null) = %(paused)s)
      order by s.id
      limit %(limit)s)
    limit %(limit)s
)
select s.id, s.name, s.type, s.record_id, s.spec, s.origin, s.version, s.paused_at, s.paused_until,
       s.paused_by, s.note, s.next_tick, s.next_at, s.queued, s.last_tick, s.created_at,
       s.created_by, l.tick, l.fate, l.reason, l.run_id, r.state::text as run_state,
       clock_timestamp() as now
  from found f
  join schedules s on s.id = f.id
  left join lateral (
    select k.tick, k.state::text as fate, k.reason, k.run_id
      from ticks k
     where k.schedule_id = s.id
     order by k.tick desc
     limit 1
  ) as l on true
  left join runs r on r.id = l.run_id
 order by f.next_at nulls last, f.id;

-- name: ticks
-- The newest first, with what became of their runs; null stands for no filter.
select t.tick, t.kind, t.state::text as state, t.reason, t.run_id, t.due_at, t.until, t.decided_at,
       r.state::text as run_state
  from ticks t
  left join runs r on r.id = t.run_id
 where t.schedule_id = %(schedule)s
   and (%(after)s::timestamptz is null or t.tick < %(after)s)
   and (%(states)s::text[] is null or t.state::text = any(%(states)s))
 order by t.tick desc
 limit %(limit)s;

-- name: ticks_between
-- Of several schedules, a bounded number of each.
select s.id, t.tick, t.state::text as state, t.run_id, r.state::text as run_state
  from unnest(%(schedules)s::bigint[]) as s (id)
 cross join lateral (
    select tick, state, run_id
      from ticks
     where schedule_id = s.id and tick >= %(since)s and tick < %(until)s
     order by tick
     limit %(each)s
  ) as t
  left join runs r on r.id = t.run_id;

