-- name: write
-- What was told of when it was long over ended then, but not before it began.
insert into attempts (
    run_id, task_id, number, round, state, counted, holder, started_at, finished_at, exit_code,
    output, error, detail
)
select run_id, task_id, number, round, state, counted, holder, started_at,
       greatest(started_at, least(coalesce(finished_at, clock_timestamp()), clock_timestamp())),
       exit_code, output, error, detail
  from unnest(
    %(runs)s::uuid[], %(tasks)s::bigint[], %(numbers)s::integer[], %(rounds)s::integer[],
    %(states)s::attempt_state[], %(counted)s::boolean[], %(holders)s::bigint[],
    %(started_at)s::timestamptz[], %(finished_at)s::timestamptz[], %(exit_codes)s::integer[],
    %(outputs)s::jsonb[], %(errors)s::text[], %(details)s::jsonb[]
  ) as a (
    run_id, task_id, number, round, state, counted, holder, started_at, finished_at, exit_code,
    output, error, detail
  );

-- name: of_task
select run_id, task_id, number, round, state::text as state, counted, holder, started_at,
       finished_at, exit_code, output, error, detail
  from attempts
 where task_id = %(task)s
 order by number;

-- name: known
-- Which of these attempts of one holder are recorded, and how they ended: so a lost answer to a
-- commit is told from a result that came too late.
select a.task_id, a.number, a.state::text as state
  from attempts a
 where a.task_id = any(%(tasks)s) -- said so that today's partition, empty when planned, is searched
   and (a.task_id, a.number) in (
    select k.task_id, k.number
      from unnest(%(tasks)s::bigint[], %(numbers)s::integer[]) as k (task_id, number)
   )
   and a.holder = %(holder)s;
