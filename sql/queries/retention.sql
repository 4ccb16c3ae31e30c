-- name: rules
select id, type, state::text as state, keep_for, keep_last, updated_at, updated_by, seen, again
  from retention_rules
 order by type nulls first, state;

-- name: put
insert into retention_rules (type, state, keep_for, keep_last, updated_by)
values (%(type)s, %(state)s::run_state, %(keep_for)s, %(keep_last)s, %(by)s)
on conflict (coalesce(type, ''), state) do update
   set keep_for = excluded.keep_for, keep_last = excluded.keep_last,
       updated_by = excluded.updated_by, updated_at = clock_timestamp()
returning id, type, state::text as state, keep_for, keep_last, updated_at, updated_by;

-- name: delete
delete from retention_rules where id = %(id)s returning id;

-- name: details
select keep_for, updated_at, updated_by from retention_details;

-- name: keep_details
insert into retention_details (keep_for, updated_by)
values (%(keep_for)s, %(by)s)
on conflict (is_only) do update
   set keep_for = excluded.keep_for, updated_by = excluded.updated_by,
       updated_at = clock_timestamp();

-- name: look_again
-- A rule that changes changes what the others of its state speak of: each begins at the first run.
update retention_rules
   set seen = '00000000-0000-0000-0000-000000000000', again = '00000000-0000-0000-0000-000000000000'
 where state = %(state)s::run_state;

-- name: state_of
select state::text as state from retention_rules where id = %(id)s;

-- name: remember
-- How far a rule has come, unless it was changed meanwhile.
update retention_rules
   set seen = greatest(seen, %(seen)s), again = %(again)s
 where id = %(id)s and updated_at = %(updated_at)s;

-- name: nth
-- The oldest of the newest few of a type in a state, if it is among those that are looked at.
select id
  from (select id, state from runs where type = %(type)s order by id desc limit %(most)s) as newest
 where state = %(state)s::run_state
 order by id desc
offset %(last)s - 1
 limit 1;

-- name: look_at_state
-- The next few of a state, and which of them may go. A run stays that a record shows as its latest,
-- whose dead letter is open, or whose parent lives.
select r.id, r.total + 1 as rows,
       r.type <> all(%(others)s::text[])
       and coalesce(r.finished_at < clock_timestamp() - %(keep_for)s::interval, false)
       and not exists (select from process_records p
                        where p.id = r.record_id and p.current_run = r.id)
       and not exists (select from dead_letters d where d.run_id = r.id and d.state = 'OPEN')
       and not exists (select from runs p where p.id = r.parent_run and p.finished_at is null)
           as goes
  from (select id, type, total, finished_at, record_id, parent_run
          from runs
         where state = %(state)s::run_state and id > %(after)s and id < %(until)s
         order by id
         limit %(limit)s) as r
 order by r.id;

-- name: look_at_type
-- The next few of a type, whatever their state, and which of them may go.
select r.id, r.total + 1 as rows,
       r.state = %(state)s::run_state
       and coalesce(r.finished_at < clock_timestamp() - %(keep_for)s::interval, false)
       and not exists (select from process_records p
                        where p.id = r.record_id and p.current_run = r.id)
       and not exists (select from dead_letters d where d.run_id = r.id and d.state = 'OPEN')
       and not exists (select from runs p where p.id = r.parent_run and p.finished_at is null)
           as goes
  from (select id, state, total, finished_at, record_id, parent_run
          from runs
         where type = %(type)s and id > %(after)s and id < %(until)s
         order by id
         limit %(limit)s) as r
 order by r.id;

-- name: wait_for_no_disk
-- Until the end of the transaction: what it does may be undone by a crash of the database.
set local synchronous_commit = off;

-- name: remove
-- Only those that are still final, and in nobody's hands.
with chosen as (
    select id
      from runs
     where id = any(%(ids)s::uuid[]) and finished_at is not null
     order by id
       for update skip locked
)
delete from runs where id in (select id from chosen);

-- name: horizon
-- Nothing that a living run may still show is older than this day.
select least((now() - %(keep_for)s::interval)::date,
             (select (min(first.created_at) - interval '1 day')::date
                from unnest(array['PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING',
                                  'COMPENSATING']::run_state[]) as living (state)
               cross join lateral (
                  select created_at from runs where state = living.state order by id limit 1
               ) as first)) as day;

-- name: drop_partitions
select drop_partitions(%(before)s::date, 1);

-- name: forget_unparted
select forget_unparted(%(before)s::date, %(limit)s);

-- name: terms
select what, keep_for, updated_at, updated_by from retention_terms order by what;

-- name: keep
insert into retention_terms (what, keep_for, updated_by)
values (%(what)s, %(keep_for)s, %(by)s)
on conflict (what) do update
   set keep_for = excluded.keep_for, updated_by = excluded.updated_by,
       updated_at = clock_timestamp()
returning what, keep_for, updated_at, updated_by;

-- name: forget_ticks
-- A tick that waits for a run stays, whatever its age.
with old as (
    select schedule_id, tick
      from ticks
     where decided_at < now() - %(keep)s::interval and state <> 'QUEUED'
     limit %(limit)s
       for update skip locked
)
delete from ticks t
 using old
 where t.schedule_id = old.schedule_id and t.tick = old.tick;

-- name: forget_backfills
-- Those that have ended, and their ticks are forgotten.
delete from backfills
 where id in (
        select id from backfills where ended_at < now() - %(keep)s::interval limit %(limit)s
       );

-- name: forget_rollups
delete from run_rollups
 where hour < now() - %(keep)s::interval
   and (hour, type, state) in (
        select hour, type, state
          from run_rollups
         where hour < now() - %(keep)s::interval
         order by hour
         limit %(limit)s
       );

-- name: forget_attempt_rollups
delete from attempt_rollups
 where hour < now() - %(keep)s::interval
   and (hour, type) in (
        select hour, type
          from attempt_rollups
         where hour < now() - %(keep)s::interval
         order by hour
         limit %(limit)s
       );

-- name: forget_audit
select forget_audit(now() - %(keep)s::interval, %(limit)s);

-- name: idle_places
-- The next limits, in the order of their names, under which nobody has a place. What a queue is limited
-- to is not looked up again by whoever waits there, so its places stay.
select key
  from limit_slots
 where key > %(after)s and key not like 'queue:%%'
 group by key
having bool_and(task_id is null and run_id is null
                and coalesce(free_at <= clock_timestamp(), true))
 order by key
 limit %(limit)s;

-- name: lock_places
-- Whoever looks for a place, or makes one, has ended or waits until we have: for a moment only.
lock table limit_slots in share row exclusive mode;

-- name: forget_places
-- Of these limits, those that no task and no run may still ask for.
with wanted as (
    select unnest(limit_keys) as key
      from tasks
     where limit_keys <> '{}' and state in ('PENDING', 'WAITING', 'READY', 'IN_PROGRESS')
     union
    select blocked_on
      from tasks
     where state = 'WAITING' and reason = 'limit' and blocked_on = any(%(keys)s::text[])
     union
    select group_key from runs where group_key is not null and finished_at is null
)
delete from limit_slots s
 where s.key = any(%(keys)s::text[])
   and s.key not in (select key from wanted where key is not null)
   and not exists (
        select from limit_slots o
         where o.key = s.key
           and (o.task_id is not null or o.run_id is not null or o.free_at > clock_timestamp())
       );
