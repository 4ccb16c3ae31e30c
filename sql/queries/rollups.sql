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

-- name: page
select hour, type, state::text as state, runs, seconds, p50, p95
  from run_rollups
 where hour >= %(since)s::timestamptz and (%(type)s::text is null or type = %(type)s)
 order by hour desc, type, state
 limit %(limit)s;
