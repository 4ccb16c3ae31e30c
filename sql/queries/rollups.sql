-- name: next_hour
-- The first hour that is not counted; of a new system, the hour of its oldest run, and no earlier
-- than a month ago.
select greatest(
           coalesce((select max(hour) + interval '1 hour' from run_rollups),
                    (select date_trunc('hour', min(created_at))
                       from (select created_at from runs order by id limit 1) as first)),
           date_trunc('hour', now()) - interval '31 days'
       ) as hour;

-- name: count
-- Of runs by the hour in which they began. The same hour counted again gives the same rows.
insert into run_rollups (hour, type, state, runs, seconds, p50, p95)
select %(hour)s::timestamptz, r.type, r.state, count(*),
       coalesce(sum(extract(epoch from r.finished_at - r.started_at)), 0),
       percentile_cont(0.5) within group (order by extract(epoch from r.finished_at - r.started_at)),
       percentile_cont(0.95) within group (order by extract(epoch from r.finished_at - r.started_at))
  from runs r
 where r.id >= %(low)s and r.id < %(high)s and r.finished_at is not null
   and r.created_at >= %(hour)s::timestamptz
   and r.created_at < %(hour)s::timestamptz + interval '1 hour'
 group by r.type, r.state
on conflict (hour, type, state) do update
   set runs = excluded.runs, seconds = excluded.seconds, p50 = excluded.p50, p95 = excluded.p95;

-- name: next_hour_of_attempts
-- The first hour whose attempts are not counted, and no earlier than a month ago.
select greatest(
           coalesce((select max(hour) + interval '1 hour' from attempt_rollups),
                    (select date_trunc('hour', min(created_at))
                       from (select created_at from runs order by id limit 1) as first)),
           date_trunc('hour', now()) - interval '31 days'
       ) as hour;

-- name: count_attempts
-- Of attempts by the hour in which they ended. What needs nothing before it waits from the start of
-- its run until it is claimed; what is tried anew says nothing of that. An hour without any is counted by a row without a
-- type, so that nobody counts it again.
insert into attempt_rollups (
    hour, type, attempts, again, failed, seconds, again_seconds, begun, waited
)
select %(hour)s::timestamptz, coalesce(r.type, ''), count(r.id),
       count(r.id) filter (where a.number > 1),
       count(r.id) filter (where a.state <> 'SUCCEEDED'),
       coalesce(sum(extract(epoch from a.finished_at - a.started_at)), 0),
       coalesce(sum(extract(epoch from a.finished_at - a.started_at))
                    filter (where a.number > 1), 0),
       count(r.id) filter (where first.is_first),
       coalesce(sum(greatest(0, extract(epoch from a.started_at - r.created_at)))
                    filter (where first.is_first), 0)
  from (select %(hour)s::timestamptz as hour) as h
  left join attempts a
         on a.finished_at >= %(hour)s::timestamptz
        and a.finished_at < %(hour)s::timestamptz + interval '1 hour'
  left join runs r on r.id = a.run_id
  left join tasks t on t.id = a.task_id
 cross join lateral (
    select a.number = 1 and a.round = 1 and t.required = 0 and t.role = 'task' as is_first
 ) as first
 group by coalesce(r.type, '')
on conflict (hour, type) do update
   set attempts = excluded.attempts, again = excluded.again, failed = excluded.failed,
       seconds = excluded.seconds, again_seconds = excluded.again_seconds, begun = excluded.begun,
       waited = excluded.waited;

-- name: page
select hour, type, state::text as state, runs, seconds, p50, p95
  from run_rollups
 where hour >= %(since)s::timestamptz and (%(type)s::text is null or type = %(type)s)
 order by hour desc, type, state
 limit %(limit)s;
