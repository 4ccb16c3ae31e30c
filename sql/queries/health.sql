-- name: miscounted
-- Living runs whose counters are not those that follow from their tasks, in one snapshot:
-- `open` of the run, `needed` and `open` of each task.
with living as materialized (
    select id, open
      from runs
     where state not in ('COMPLETED', 'FAILED', 'STOPPED')
), links as (
    select t.run_id, link.position, link.satisfied, link.skipped, t.role = 'item' as is_item,
           t.state not in ('COMPLETED', 'FAILED', 'SKIPPED', 'STOPPED') as unfinished
      from living l
      join tasks t on t.run_id = l.id
     cross join lateral (
        select s as position, t.passed is true as satisfied,
               t.state = 'SKIPPED' and t.role <> 'item' as skipped
          from unnest(t.successors) as s
        union all
        select t.handler, t.state = 'FAILED' and t.passed is not true, false
         where t.handler is not null
     ) as link
), derived as (
    select run_id, position, is_item, count(*) as links,
           count(*) filter (where satisfied) as satisfied,
           count(*) filter (where skipped) as skipped,
           count(*) filter (where unfinished) as unfinished
      from links
     group by run_id, position, is_item
)
select l.id
  from living l
  join tasks t on t.run_id = l.id
 -- While items are under way, both counters are theirs.
  left join derived d on d.run_id = t.run_id and d.position = t.position
                     and d.is_item = (t.reason is not distinct from 'items')
 group by l.id, l.open
having l.open <> count(*) filter (
           where t.state not in ('COMPLETED', 'FAILED', 'SKIPPED', 'STOPPED')
       )
    or bool_or(t.needed <> greatest(
           case when t.reason = 'items' then coalesce(d.links, 0) else t.required end
           - coalesce(d.satisfied, 0)
           -- Whoever needs all of those before it does not wait for one that was skipped.
           - case when t.required >= d.links and t.reason is distinct from 'items'
                  then d.skipped else 0 end,
           0
       ))
    or bool_or(t.open <> coalesce(d.unfinished, 0))
 order by l.id
 limit %(limit)s;

-- name: silent_holders
-- Those that should have renewed their lease and did not; the reaper is late.
select name, extract(epoch from clock_timestamp() - lease_until)::float8 as late
  from holders
 where state <> 'GONE' and lease_until < clock_timestamp() - %(patience)s::interval
   and pg_postmaster_start_time() < clock_timestamp() - %(patience)s::interval
 order by name;

-- name: other_versions
select name, version
  from holders
 where state <> 'GONE' and lease_until > clock_timestamp() and version <> %(version)s
 order by name;

-- name: unkept_partitions
-- The day for which rows would fall into the default partition.
select (now() at time zone 'utc')::date + 1 as day
 where to_regclass('public.attempts' || to_char((now() at time zone 'utc')::date + 1, '_YYYYMMDD'))
       is null;

-- name: clock
select extract(epoch from clock_timestamp())::float8 as seconds;
