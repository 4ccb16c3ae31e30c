-- What stands around every page of the dashboard: read for each of them, so all of it has a bound.

-- name: needs
-- What waits for somebody, as far as a hundred of each, and whether the schedules are off.
select (select count(*) from (select from dead_letters where state = 'OPEN' limit 100) as few)
           as letters,
       (select count(*) from (select from approvals where state = 'OPEN' limit 100) as few)
           as approvals,
       (select count(*) from (select from runs where state = 'HELD' limit 100) as few) as held,
       (select count(*)
          from (select from procrastinate_jobs where status = 'failed' limit 100) as few) as chores,
       off.stopped_at, off.stopped_by, off.note as stopped_note
  from (values (true)) as always
  left join (
    select stopped_at, stopped_by, note from schedule_stops where resumed_at is null
  ) as off on true
 limit 1;
