-- name: known
-- Ticks that have a fate already. Their schedules are locked by the caller.
select t.schedule_id, t.tick
  from unnest(%(schedules)s::bigint[], %(ticks)s::timestamptz[]) as u (schedule_id, tick)
  join ticks t on t.schedule_id = u.schedule_id and t.tick = u.tick;

-- name: add
insert into ticks (schedule_id, tick, kind, state, reason, run_id, due_at, until)
select schedule_id, tick, 'time', state::tick_state, reason, run_id, due_at, until
  from unnest(
    %(schedules)s::bigint[], %(ticks)s::timestamptz[], %(states)s::text[], %(reasons)s::text[],
    %(runs)s::uuid[], %(due)s::timestamptz[], %(until)s::timestamptz[]
  ) as u (schedule_id, tick, state, reason, run_id, due_at, until);

-- name: settle
-- What waited is started, or something else took its place.
update ticks
   set state = %(state)s::text::tick_state, reason = coalesce(%(reason)s, reason),
       run_id = %(run)s, decided_at = clock_timestamp()
 where schedule_id = %(schedule)s and tick = %(tick)s and state = 'QUEUED';

-- name: trigger
insert into ticks (schedule_id, tick, kind, state, reason, run_id, due_at)
values (%(schedule)s, %(tick)s, 'trigger', 'STARTED', %(reason)s, %(run)s, %(tick)s);

-- name: fill
-- What was not started is started after all; what was, keeps its one run.
insert into ticks (schedule_id, tick, kind, state, reason, run_id, due_at)
values (
    %(schedule)s, %(tick)s, 'backfill', %(state)s::text::tick_state, %(reason)s, %(run)s,
    clock_timestamp()
)
on conflict (schedule_id, tick) do update
   set kind = excluded.kind, state = excluded.state, reason = excluded.reason,
       run_id = excluded.run_id, decided_at = clock_timestamp()
 where ticks.state in ('SKIPPED', 'MISSED', 'MERGED', 'FAILED');

-- name: cut
-- Where a row stands for this tick among others, those before it keep that row, and those behind it
-- get one of their own. What was started now and then since lies between, so a few rows are looked at.
with latest as (
    select tick, state, reason, until
      from ticks
     where schedule_id = %(schedule)s and tick <= %(tick)s
     order by tick desc
     limit 100
), covering as (
    select tick, state, reason, until
      from latest
     where until > %(tick)s
     order by tick desc
     limit 1
), before as (
    update ticks t
       set until = case when c.tick < %(tick)s then %(tick)s end
      from covering c
     where t.schedule_id = %(schedule)s and t.tick = c.tick
)
insert into ticks (schedule_id, tick, kind, state, reason, due_at, until)
select %(schedule)s, %(following)s::timestamptz, 'time', state, reason, %(due)s::timestamptz, until
  from covering
 where until > %(following)s::timestamptz
on conflict do nothing;

-- name: page
-- The newest first, after a cursor; null stands for no filter.
select tick, kind, state::text as state, reason, run_id, due_at, until, decided_at
  from ticks
 where schedule_id = %(schedule)s
   and (%(after)s::timestamptz is null or tick < %(after)s)
   and (%(state)s::text is null or state::text = %(state)s)
 order by tick desc
 limit %(limit)s;

-- name: started
-- Which of these have a run, or will have one.
select tick
  from ticks
 where schedule_id = %(schedule)s and tick = any(%(ticks)s::timestamptz[])
   and state in ('STARTED', 'QUEUED');
