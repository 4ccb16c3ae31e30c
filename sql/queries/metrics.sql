-- name: living_runs
select state::text as state, count(*) as runs
  from runs
 where state in ('PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING', 'COMPENSATING')
 group by state;

-- name: recent_attempts
select state::text as state, count(*) as attempts
  from attempts
 where finished_at > clock_timestamp() - interval '5 minutes'
 group by state;

-- name: lags
-- For how long something has been due that a loop should have done by now.
select extract(epoch from coalesce((
           select clock_timestamp() - min(due_at)
             from tasks
            where state = 'WAITING' and due_at <= (select clock_timestamp())
       ), interval '0'))::float8 as promoter,
       extract(epoch from coalesce((
           select clock_timestamp() - min(lease_until)
             from holders
            where state <> 'GONE' and lease_until <= clock_timestamp()
       ), interval '0'))::float8 as reaper;

-- name: leases
select name, kind, state::text as state, slots,
       extract(epoch from lease_until - clock_timestamp())::float8 as seconds
  from holders
 where state <> 'GONE'
 order by name;

-- name: open_letters
select count(*) as letters from dead_letters where state = 'OPEN';
