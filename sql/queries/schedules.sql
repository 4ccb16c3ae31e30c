-- name: create
-- Created at the moment from which its first tick was counted: no tick is older than its schedule.
insert into schedules (
    name, type, record_id, spec, declared, origin, next_tick, next_at, created_at, created_by
)
values (
    %(name)s, %(type)s, %(record)s, %(spec)s, %(declared)s, %(origin)s, %(next_tick)s, %(next_at)s,
    %(at)s, %(by)s
)
on conflict do nothing
returning id;

-- name: get
select s.id, s.name, s.type, s.record_id, s.spec, s.origin, s.version, s.paused_at, s.paused_until,
       s.paused_by, s.note, s.next_tick, s.next_at, s.queued, s.living, s.last_tick, s.created_at,
       s.created_by, s.updated_at, s.spec is distinct from s.declared as edited,
       clock_timestamp() as now
  from schedules s
 where s.id = %(id)s;

-- name: page
select s.id, s.name, s.type, s.record_id, s.spec, s.origin, s.version, s.paused_at, s.paused_until,
       s.paused_by, s.note, s.next_tick, s.next_at, s.queued, s.living, s.last_tick, s.created_at,
       s.created_by, s.updated_at, s.spec is distinct from s.declared as edited,
       clock_timestamp() as now
  from schedules s
 where (%(after)s::bigint is null or s.id > %(after)s)
   and (%(type)s::text is null or s.type = %(type)s)
   and (%(record)s::text is null or s.record_id = %(record)s)
   and (%(paused)s::boolean is null or (s.paused_at is not null) = %(paused)s)
 order by s.id
 limit %(limit)s;

-- name: lock
-- Whoever changes a schedule, moves it on or writes a tick of it does this first.
select s.id, s.name, s.type, s.record_id, s.spec, s.origin, s.version, s.paused_at, s.paused_until,
       s.paused_by, s.note, s.next_tick, s.next_at, s.queued, s.living, s.last_tick, s.created_at,
       s.created_by, s.updated_at, s.spec is distinct from s.declared as edited,
       clock_timestamp() as now
  from schedules s
 where s.id = %(id)s
   for update;

-- name: lock_all
-- Those of one type or record, in the order of ids.
select s.id, s.name, s.type, s.record_id, s.spec, s.declared, s.origin, s.paused_at, s.paused_until,
       s.paused_by, s.note, s.next_tick, s.queued, s.living, clock_timestamp() as now
  from schedules s
 where s.type = %(type)s::text or s.record_id = %(record)s::text
 order by s.id
   for update;

-- name: moment
select clock_timestamp();

-- name: change
update schedules
   set name = %(name)s, spec = %(spec)s, declared = coalesce(%(declared)s, declared),
       next_tick = %(next_tick)s, next_at = %(next_at)s, version = version + 1,
       updated_at = clock_timestamp()
 where id = %(id)s;

-- name: delete
delete from schedules where id = %(id)s;

-- name: pause
update schedules
   set paused_at = clock_timestamp(), paused_until = %(until)s, paused_by = %(by)s, note = %(note)s,
       next_at = case when next_tick is not null then %(until)s::timestamptz end,
       updated_at = clock_timestamp()
 where id = %(id)s;

-- name: resume
update schedules
   set paused_at = null, paused_until = null, paused_by = null, note = null,
       updated_at = clock_timestamp()
 where id = %(id)s;

-- name: due
-- What somebody is to look at now, the longest due first. What another server looks at is passed
-- over, so that any number of them share the work and none does it twice.
select s.id, s.name, s.type, s.record_id, s.spec, s.paused_at, s.paused_until, s.paused_by, s.note,
       s.next_tick, s.queued, clock_timestamp() as now
  from schedules s
 where s.next_at <= (select clock_timestamp())
   and not exists (select from schedule_stops where resumed_at is null)
 order by s.next_at
 limit %(limit)s
   for update of s skip locked;

-- name: waiting
-- Where a tick waits for a run that has ended meanwhile.
select s.id, s.name, s.type, s.record_id, s.spec, s.paused_at, s.paused_until, s.paused_by, s.note,
       s.next_tick, s.next_at, s.queued, clock_timestamp() as now
  from schedules s
 where s.queued is not null
   and s.paused_at is null
   and not exists (select from schedule_stops where resumed_at is null)
   and not exists (
    select from runs r where r.id = any(s.living) and r.finished_at is null
   )
   and not exists (
    select
      from process_records p
      join runs r on r.id = p.current_run
     where p.id = s.record_id and r.finished_at is null
   )
 order by s.id
 limit %(limit)s
   for update of s skip locked;

-- name: to_stop
-- Runs whose schedule has a tick that is to take their place.
select s.id, r.id as run
  from schedules s
  left join process_records p on p.id = s.record_id
  join runs r on r.id = any(s.living || p.current_run)
 where s.queued is not null
   and s.spec ->> 'overlap' = 'replace'
   and s.paused_at is null
   and not exists (select from schedule_stops where resumed_at is null)
   and r.state in ('PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD')
 order by r.id
 limit %(limit)s;

-- name: lock_records
-- A record has one living run at most, so whoever starts one holds the record.
select id from process_records where id = any(%(ids)s::text[]) order by id for update;

-- name: living
-- The runs of schedules that have not ended; of a record's schedule, whoever started them.
select s.id, array(
        select r.id
          from runs r
         where r.id = any(s.living || p.current_run) and r.finished_at is null
         order by r.id desc
         limit 100
       ) as living
  from schedules s
  left join process_records p on p.id = s.record_id
 where s.id = any(%(ids)s::bigint[]);

-- name: move
update schedules s
   set next_tick = u.next_tick, next_at = u.next_at, queued = u.queued,
       living = u.living::uuid[], last_tick = coalesce(u.last_tick, s.last_tick),
       paused_at = case when not u.wakes then s.paused_at end,
       paused_until = case when not u.wakes then s.paused_until end,
       paused_by = case when not u.wakes then s.paused_by end,
       note = case when not u.wakes then s.note end
  from unnest(
    %(ids)s::bigint[], %(next_ticks)s::timestamptz[], %(next_ats)s::timestamptz[],
    %(queued)s::timestamptz[], %(living)s::text[], %(last_ticks)s::timestamptz[],
    %(wakes)s::boolean[]
  ) as u (id, next_tick, next_at, queued, living, last_tick, wakes)
 where s.id = u.id;

-- name: next_due
-- In how many seconds somebody is to look again; null if at no time that is known.
select extract(epoch from least(
        (select min(next_at) from schedules where next_at is not null),
        (select min(next_at) from backfills where ended_at is null)
       ) - clock_timestamp())::float8
 where not exists (select from schedule_stops where resumed_at is null);

-- name: is_any_waiting
select exists (select from schedules where queued is not null);

-- name: stop_all
insert into schedule_stops (stopped_by, note)
values (%(by)s, %(note)s)
on conflict do nothing
returning id;

-- name: resume_all
update schedule_stops
   set resumed_at = clock_timestamp(), resumed_by = %(by)s
 where resumed_at is null
returning id;

-- name: stopped
select stopped_at, stopped_by, note from schedule_stops where resumed_at is null;

-- name: stops_since
-- Past stops that may cover a tick which nobody has decided on.
select stopped_at, resumed_at, note
  from schedule_stops
 where resumed_at > %(since)s::timestamptz
 order by id;

-- name: add_living
update schedules set living = (%(run)s::uuid || living)[1:100] where id = %(id)s;
