-- What stands around every page of the dashboard: read for each of them, so all of it has a bound.

-- name: needs
-- What waits for somebody, as far as a hundred of each, and whether the schedules are off.
select (select count(*) from (select from dead_letters where state = 'OPEN' limit 100) as few)
           as letters,
       (select count(*) from (select from approvals where state = 'OPEN' limit 100) as few)
           as approvals,
       (select count(*) from (select from runs where state = 'HELD' limit 100) as few) as held,
       (select count(*)
          from (select from procrastinate_jobs where status = 'failed' limit 100) as few) as chores,
       off.stopped_at, off.stopped_by, off.note as stopped_note
  from (values (true)) as always
  left join (
    select stopped_at, stopped_by, note from schedule_stops where resumed_at is null
  ) as off on true
 limit 1;

-- name: hours
-- What became of the latest runs of each hour, as far as `most` of each; an hour is between two ids.
select p.place::integer as place, r.state::text as state, count(*)::integer as runs
  from unnest(%(lows)s::uuid[], %(highs)s::uuid[]) with ordinality as p (low, high, place)
 cross join lateral (
    select state from runs where id >= p.low and id < p.high order by id desc limit %(most)s
 ) as r
 group by p.place, r.state;

-- name: coming
-- What is due next within a day, each schedule once.
select s.id, s.name, s.type, s.record_id, s.next_at
  from schedules s
 where s.next_at < clock_timestamp() + interval '24 hours' and s.paused_at is null
 order by s.next_at
 limit %(limit)s;

-- name: missed
-- Times of the last day at which nothing was started, as far as a hundred.
select count(*)::integer as ticks
  from (
    select
      from ticks
     where decided_at > clock_timestamp() - interval '24 hours' and state = 'MISSED'
     limit 100
  ) as few;
