-- name: write
insert into attempts (
    run_id, task_id, number, round, state, counted, holder, started_at, exit_code, output, error,
    detail
)
select *
  from unnest(
    %(runs)s::uuid[], %(tasks)s::bigint[], %(numbers)s::integer[], %(rounds)s::integer[],
    %(states)s::attempt_state[], %(counted)s::boolean[], %(holders)s::bigint[],
    %(started_at)s::timestamptz[], %(exit_codes)s::integer[], %(outputs)s::jsonb[],
    %(errors)s::text[], %(details)s::jsonb[]
  );

-- name: of_task
select run_id, task_id, number, round, state::text as state, counted, holder, started_at,
       finished_at, exit_code, output, error, detail
  from attempts
 where task_id = %(task)s
 order by number;

-- name: find
-- The record of one attempt of one holder, if it was made: how a lost answer to a commit is known
-- from a result that came too late.
select state::text as state
  from attempts
 where task_id = %(task)s and number = %(number)s and holder = %(holder)s;
