-- name: rules
select id, type, state::text as state, keep_for, keep_last, updated_at, updated_by
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

-- name: nth
-- The oldest of the newest few of a type in a state.
select id
  from runs
 where type = %(type)s and state = %(state)s::run_state
 order by id desc
offset %(last)s - 1
 limit 1;

-- name: look
-- The next few of a state behind a cursor, those of one type or of all but some; which of them may
-- go. A run stays that a record shows as its latest, whose dead letter is open, or whose parent
-- lives.
select r.id,
       coalesce(r.finished_at < clock_timestamp() - %(keep_for)s::interval, false)
       and not exists (select from process_records p
                        where p.id = r.record_id and p.current_run = r.id)
       and not exists (select from dead_letters d where d.run_id = r.id and d.state = 'OPEN')
       and not exists (select from runs p where p.id = r.parent_run and p.finished_at is null)
           as goes
  from runs r
 where r.state = %(state)s::run_state
   and r.id > %(after)s
   and r.id < %(until)s
   and (%(type)s::text is null or r.type = %(type)s)
   and r.type <> all(%(others)s::text[])
 order by r.id
 limit %(limit)s;

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
