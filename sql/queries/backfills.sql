-- name: create
insert into backfills (
    schedule_id, from_at, until_at, per_minute, at_once, next_tick, next_at, made_by
)
values (
    %(schedule)s, %(from_at)s, %(until_at)s, %(per_minute)s, %(at_once)s, %(next_tick)s,
    clock_timestamp(), %(by)s
)
returning id;

-- name: get
select id, schedule_id, from_at, until_at, per_minute, at_once, next_tick, started, passed_over,
       made_at, made_by, ended_at, ended_by
  from backfills
 where id = %(id)s and schedule_id = %(schedule)s;

-- name: page
select id, schedule_id, from_at, until_at, per_minute, at_once, next_tick, started, passed_over,
       made_at, made_by, ended_at, ended_by
  from backfills
 where schedule_id = %(schedule)s
   and (%(after)s::bigint is null or id < %(after)s)
 order by id desc
 limit %(limit)s;

-- name: cancel
update backfills
   set ended_at = clock_timestamp(), ended_by = %(by)s
 where id = %(id)s and schedule_id = %(schedule)s and ended_at is null
returning id;

-- name: due
-- With their schedules, which are locked as well: each tick is decided under that lock.
select b.id, b.schedule_id, b.from_at, b.until_at, b.per_minute, b.at_once, b.next_tick, b.living,
       b.made_by, s.name, s.type, s.record_id, s.spec, clock_timestamp() as now
  from backfills b
  join schedules s on s.id = b.schedule_id
 where b.ended_at is null
   and b.next_at <= (select clock_timestamp())
   and not exists (select from schedule_stops where resumed_at is null)
 order by b.next_at
 limit 1
   for update skip locked;

-- name: living
select r.id
  from runs r
 where r.finished_at is null
   and (r.id = any(%(runs)s::uuid[])
        or r.id = (select current_run from process_records where id = %(record)s::text))
 order by r.id;

-- name: move
update backfills
   set next_tick = %(next_tick)s, next_at = %(next_at)s, living = %(living)s::uuid[],
       started = started + %(started)s, passed_over = passed_over + %(passed_over)s,
       ended_at = case when %(next_tick)s::timestamptz is null then clock_timestamp() end
 where id = %(id)s;
