-- What the dashboard shows beside what the API does; each of these is read for every page of a
-- kind, so each has a bound.

-- name: needs
-- What waits for somebody, as far as a hundred of each.
select (select count(*) from (select from dead_letters where state = 'OPEN' limit 100) as few)
           as letters,
       (select count(*) from (select from approvals where state = 'OPEN' limit 100) as few)
           as approvals,
       (select count(*) from (select from runs where state = 'HELD' limit 100) as few) as held;

-- name: living
-- Runs that go on, the newest first.
select r.id, r.type, r.record_id, r.state::text as state, r.total, r.open, r.failed, r.created_at,
       r.started_at, r.triggered_by
  from unnest(array['IN_PROGRESS', 'HOLDING', 'STOPPING', 'COMPENSATING', 'PENDING']::run_state[])
           as s (state)
 cross join lateral (
    select * from runs where runs.state = s.state order by id desc limit %(limit)s
 ) as r
 order by r.id desc
 limit %(limit)s;

-- name: ended_badly
-- The latest runs that did not come to a good end.
select r.id, r.type, r.record_id, r.state::text as state, r.error, r.finished_at, r.created_at
  from runs r
 where r.state = 'FAILED'
 order by r.id desc
 limit %(limit)s;

-- name: results_of_types
-- The latest states of each type's runs, the newest first.
select t.name, array(
        select state::text from runs where type = t.name order by id desc limit %(each)s
       ) as states
  from unnest(%(names)s::text[]) as t (name);

-- name: results_of_records
select t.name, array(
        select state::text from runs where record_id = t.name order by id desc limit %(each)s
       ) as states
  from unnest(%(names)s::text[]) as t (name);

-- name: attempts_of
-- The attempts of many tasks that are over.
select task_id, number, round, state::text as state, started_at, finished_at, exit_code, error
  from attempts
 where task_id = any(%(tasks)s)
 order by task_id, number
 limit %(limit)s;

-- name: usual
-- How long the good ones among the latest runs of a type took, in seconds.
select t.name,
       (select percentile_cont(0.5) within group (order by few.seconds)
          from (
            select state, extract(epoch from finished_at - started_at)::float8 as seconds
              from runs
             where type = t.name
             order by id desc
             limit %(each)s
          ) as few
         where few.state = 'COMPLETED') as seconds
  from unnest(%(names)s::text[]) as t (name);
