-- name: pause
insert into queues (name, paused_at, note, updated_by)
values (%(name)s, clock_timestamp(), %(note)s, %(by)s)
on conflict (name) do update
   set paused_at = coalesce(queues.paused_at, excluded.paused_at), note = excluded.note,
       updated_at = clock_timestamp(), updated_by = excluded.updated_by;

-- name: resume
update queues
   set paused_at = null, note = null, updated_at = clock_timestamp(), updated_by = %(by)s
 where name = %(name)s
returning name;

-- name: resize
insert into queues (name, size, updated_by)
values (%(name)s, %(size)s, %(by)s)
on conflict (name) do update
   set size = excluded.size, updated_at = clock_timestamp(), updated_by = excluded.updated_by;

-- name: all
-- Every queue that has a setting or work.
select name, q.paused_at, q.note, q.size,
       coalesce(w.ready, 0) as ready, coalesce(w.in_hand, 0) as in_hand,
       coalesce(w.limited, 0) as limited
  from queues q
  full join (
    select queue as name, count(*) filter (where state = 'READY') as ready,
           count(*) filter (where state = 'IN_PROGRESS') as in_hand,
           count(*) filter (where state = 'WAITING') as limited
      from tasks
     where state = 'READY' or holder is not null or (state = 'WAITING' and reason = 'limit')
     group by queue
  ) as w using (name)
 order by name;

-- name: paused
select name, paused_at, note from queues where paused_at is not null;

-- name: moment
-- The time, which is the database's, and the queues whose tasks need a place.
select clock_timestamp() as now,
       array(select name from queues where size is not null) as names,
       array(select size from queues where size is not null) as sizes;
