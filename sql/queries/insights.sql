-- What the counts of each hour say, over a window; nothing here reads runs or attempts.

-- name: through
-- Until when hours are counted.
select least((select max(hour) from run_rollups), (select max(hour) from attempt_rollups))
       + interval '1 hour' as until;

-- name: types
-- Of each type: how many runs, what became of them, how long the good ones took in the first and in
-- the second half of the window.
select type, sum(runs)::bigint as runs,
       coalesce(sum(runs) filter (where state = 'COMPLETED'), 0)::bigint as good,
       coalesce(sum(runs) filter (where state = 'FAILED'), 0)::bigint as bad,
       coalesce(sum(runs) filter (where state = 'STOPPED'), 0)::bigint as stopped,
       sum(seconds)::float8 as seconds,
       sum(runs) filter (where state = 'COMPLETED' and hour < %(middle)s)::bigint as good_before,
       sum(runs) filter (where state = 'COMPLETED' and hour >= %(middle)s)::bigint as good_after,
       sum(seconds) filter (where state = 'COMPLETED' and hour < %(middle)s)::float8
           as seconds_before,
       sum(seconds) filter (where state = 'COMPLETED' and hour >= %(middle)s)::float8
           as seconds_after
  from run_rollups
 where hour >= %(since)s
 group by type
 order by sum(runs) desc, type
 limit %(limit)s;

-- name: attempts
select type, sum(attempts)::bigint as attempts, sum(again)::bigint as again,
       sum(failed)::bigint as failed, sum(seconds)::float8 as seconds,
       sum(again_seconds)::float8 as again_seconds, sum(begun)::bigint as begun,
       sum(waited)::float8 as waited
  from attempt_rollups
 where hour >= %(since)s and type <> ''
 group by type
 order by sum(seconds) desc, type
 limit %(limit)s;

-- name: course
-- Of all types together, in parts of the window.
select p.part, coalesce(r.runs, 0)::bigint as runs, coalesce(r.bad, 0)::bigint as bad,
       coalesce(r.seconds, 0)::float8 as seconds, coalesce(a.begun, 0)::bigint as begun,
       coalesce(a.waited, 0)::float8 as waited
  from generate_series(%(since)s::timestamptz, %(until)s::timestamptz - interval '1 second',
                       %(step)s::interval) as p (part)
  left join lateral (
    select sum(runs) as runs, sum(runs) filter (where state = 'FAILED') as bad,
           sum(seconds) as seconds
      from run_rollups
     where hour >= p.part and hour < p.part + %(step)s::interval
  ) as r on true
  left join lateral (
    select sum(begun) as begun, sum(waited) as waited
      from attempt_rollups
     where hour >= p.part and hour < p.part + %(step)s::interval
  ) as a on true
 order by p.part;
