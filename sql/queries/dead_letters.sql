-- name: write
insert into dead_letters (run_id, task_id, round, type, task, error, fingerprint, input, output)
select l.run_id, l.task_id, l.round, l.type, l.task, l.error, l.fingerprint, r.input, t.output
  from unnest(
    %(runs)s::uuid[], %(task_ids)s::bigint[], %(rounds)s::integer[], %(types)s::text[],
    %(tasks)s::text[], %(errors)s::text[], %(fingerprints)s::text[]
  ) as l (run_id, task_id, round, type, task, error, fingerprint)
  join runs r on r.id = l.run_id
  join tasks t on t.id = l.task_id;

-- name: redriven
-- Closes what a new round takes up again; under the run's lock, so of two askers one wins.
update dead_letters
   set state = 'REDRIVEN', closed_at = clock_timestamp(), closed_by = %(by)s
 where run_id = any(%(runs)s) and state = 'OPEN';

-- name: get
select id, run_id, task_id, round, type, task, state::text as state, error, fingerprint, input,
       output, made_at, closed_at, closed_by, note
  from dead_letters
 where id = %(id)s;

-- name: chosen
-- Those of some that are open, the newest first.
select id, run_id, task_id, round, type, task, state::text as state, error, fingerprint, made_at
  from dead_letters
 where id = any(%(ids)s::bigint[]) and state = 'OPEN'
 order by id desc;

-- name: runs
select distinct run_id from dead_letters where id = any(%(ids)s);

-- name: lock
-- For whoever decides on them, after their runs: nobody else can meanwhile.
select id, run_id, type, state::text as state, closed_by
  from dead_letters
 where id = any(%(ids)s)
 order by id
   for no key update;

-- name: page
-- The newest first, after a cursor; null stands for no filter.
select id, run_id, task_id, round, type, task, state::text as state, error, fingerprint, input,
       output, made_at, closed_at, closed_by, note
  from dead_letters
 where state = %(state)s and id < coalesce(%(after)s, 9223372036854775807)
   and (%(run)s::uuid is null or run_id = %(run)s)
   and (%(type)s::text is null or type = %(type)s)
   and (%(task)s::text is null or task = %(task)s)
   and (%(fingerprint)s::text is null or fingerprint = %(fingerprint)s)
   and (%(made_from)s::timestamptz is null or made_at >= %(made_from)s)
   and (%(made_to)s::timestamptz is null or made_at < %(made_to)s)
 order by id desc
 limit %(limit)s;

-- name: count
-- How many pass the filters of `page`, as far as `most`.
select count(*) as letters
  from (
    select
      from dead_letters
     where state = %(state)s
       and (%(run)s::uuid is null or run_id = %(run)s)
       and (%(type)s::text is null or type = %(type)s)
       and (%(task)s::text is null or task = %(task)s)
       and (%(fingerprint)s::text is null or fingerprint = %(fingerprint)s)
       and (%(made_from)s::timestamptz is null or made_at >= %(made_from)s)
       and (%(made_to)s::timestamptz is null or made_at < %(made_to)s)
     limit %(most)s
  ) as found;

-- name: discard
update dead_letters
   set state = 'DISCARDED', closed_at = clock_timestamp(), closed_by = %(by)s, note = %(note)s
 where id = any(%(ids)s) and state = 'OPEN'
returning id;

-- name: groups
select fingerprint, type, task, min(error) as error, count(*) as letters,
       min(made_at) as first_at, max(made_at) as last_at
  from dead_letters
 where state = 'OPEN'
 group by fingerprint, type, task
 order by letters desc, fingerprint
 limit %(limit)s;
