-- name: ensure
-- Places under a limit, as many as its size. Those that exist are not touched, or the insert
-- would wait for whoever is taking one; new ones are made in one order by everybody.
insert into limit_slots (key, slot, per)
select k.key, s.slot, k.per
  from unnest(%(keys)s::text[], %(sizes)s::integer[], %(per)s::interval[]) as k (key, size, per),
       generate_series(1, k.size) as s (slot)
 where not exists (select from limit_slots e where e.key = k.key and e.slot = s.slot)
 order by k.key, s.slot
on conflict do nothing;

-- name: trim
-- Free places beyond a limit's size go. One that somebody is taking or leaving this instant is
-- passed over: nobody waits here, so nobody can wait in a circle.
delete from limit_slots s
 using (
    select e.key, e.slot
      from limit_slots e
      join unnest(%(keys)s::text[], %(sizes)s::integer[]) as k (key, size) on k.key = e.key
     where e.slot > k.size and e.task_id is null and e.run_id is null
       for update of e skip locked
 ) as spare
 where s.key = spare.key and s.slot = spare.slot;

-- name: remove_spent
-- Places under limits that nobody will ask for again.
delete from limit_slots where key = any(%(keys)s::text[]);

-- name: remove
delete from limit_slots s
 using (
    select key, slot
      from limit_slots
     where key = %(key)s and task_id is null and run_id is null
       for update skip locked
 ) as spare
 where s.key = spare.key and s.slot = spare.slot;

-- name: take
-- A place under each of a task's keys, or under none of them. Taking never waits: a place that
-- somebody is releasing this instant is found by the next look. A task that no longer waits for
-- one, since somebody else was faster, gets none. A place in a window of time is used up for as
-- long as the window is, whatever becomes of the task. Where a queue has shrunk and more are taken
-- than it has now, those have to leave first.
with free as (
    select place.key, place.slot
      from unnest(%(keys)s::text[]) as wanted (key)
      left join queues queue
             on wanted.key like 'queue:%%' and queue.name = substring(wanted.key from 7)
     cross join lateral (
        select key, slot
          from limit_slots
         where key = wanted.key and task_id is null
           and (free_at is null or free_at <= clock_timestamp())
           and slot <= coalesce(queue.size, slot)
         order by slot
         limit 1
           for update skip locked
     ) as place
     where exists (
        select from tasks where id = %(task)s and state = 'WAITING' and reason = 'limit'
     )
       and (
        not exists (
            select from limit_slots
             where key = wanted.key and slot > queue.size and task_id is not null
        )
        or queue.size > (
            select count(*) from limit_slots where key = wanted.key and task_id is not null
        )
     )
), taken as (
    update limit_slots s
       set task_id = case when s.per is null then %(task)s::bigint end,
           free_at = clock_timestamp() + s.per
      from free f
     where s.key = f.key and s.slot = f.slot
       and (select count(*) from free) = cardinality(%(keys)s::text[])
    returning s.key
)
select array(select key from free) as free, array(select key from taken) as taken;

-- name: release
-- Of tasks that are neither READY nor in hand any more.
update limit_slots s
   set task_id = null
 where s.task_id = any(%(tasks)s)
   and not exists (
    select from tasks t where t.id = s.task_id and t.state in ('READY', 'IN_PROGRESS')
   )
returning key;

-- name: admit
-- READY for a task that has its places; its run is locked by the caller.
update tasks t
   set state = 'READY', reason = null, blocked_on = null, limit_keys = %(keys)s,
       ready_seq = nextval('ready_seq')
 where t.id = %(task)s and t.state = 'WAITING' and t.reason = 'limit'
returning t.queue;

-- name: begin_run
update runs set state = 'IN_PROGRESS' where id = %(run)s and state = 'PENDING';

-- name: block
-- Says which limit tasks wait for. `unlimited` stands for one that was lifted meanwhile.
update tasks
   set blocked_on = %(key)s
 where id = any(%(tasks)s::bigint[]) and state = 'WAITING' and reason = 'limit';

-- name: candidates
-- Tasks that may get a place now: for each key with free ones, as many as are free, the most
-- urgent first; and those that nobody has looked at yet.
select id, run_id, queue, limit_keys, blocked_on
  from (
    select t.id, t.run_id, t.queue, t.limit_keys, free.key as blocked_on
      from (
        select f.key, greatest(0, least(f.places, q.size - (
                select count(*) from limit_slots where key = f.key and task_id is not null
            ))) as places
          from (
            select key, count(*) as places
              from limit_slots
             where task_id is null and run_id is null
               and (free_at is null or free_at <= clock_timestamp())
             group by key
          ) as f
          left join queues q on f.key like 'queue:%%' and q.name = substring(f.key from 7)
      ) as free
     cross join lateral (
        (
            select id, run_id, queue, limit_keys
              from tasks
             where state = 'WAITING' and reason = 'limit' and blocked_on = free.key
               and share is null
             order by rank, id
             limit free.places
        )
        union all
        (
            select next.id, next.run_id, next.queue, next.limit_keys
              from (
                with recursive sharing (share) as (
                    select min(share)
                      from tasks
                     where state = 'WAITING' and reason = 'limit' and blocked_on = free.key
                       and share is not null
                    union all
                    select (
                            select min(share)
                              from tasks
                             where state = 'WAITING' and reason = 'limit'
                               and blocked_on = free.key and share > s.share
                        )
                      from sharing s
                     where s.share is not null
                )
                select share from sharing where share is not null
              ) as s
             cross join lateral (
                select count(*) as taken
                  from limit_slots l
                  join tasks h on h.id = l.task_id
                 where l.key = free.key and h.share = s.share
             ) as has
             cross join lateral (
                select id, run_id, queue, limit_keys, rank,
                       has.taken + row_number() over (order by rank, id) as turn
                  from tasks
                 where state = 'WAITING' and reason = 'limit' and blocked_on = free.key
                   and share = s.share
                 order by rank, id
                 limit free.places
             ) as next
             order by next.turn, next.rank, next.id
             limit free.places
        )
        limit free.places
     ) as t
    union
    select id, run_id, queue, limit_keys, blocked_on
      from tasks
     where state = 'WAITING' and reason = 'limit' and blocked_on is null
  ) as c
 limit %(limit)s;

-- name: enter
-- A place in a run's group, or none: then nothing of the run begins. Whoever calls this has the
-- run locked; a place that somebody else is taking this instant is passed over.
with free as (
    select key, slot
      from limit_slots
     where key = %(key)s and run_id is null
     order by slot
     limit 1
       for update skip locked
)
update limit_slots s
   set run_id = %(run)s
  from free f
 where s.key = f.key and s.slot = f.slot
returning s.slot;

-- name: members
-- The runs that have a place in a group, the oldest first.
select run_id from limit_slots where key = %(key)s and run_id is not null order by run_id;

-- name: next_free
-- Seconds until a place is free again that something may wait for; null if there is none.
select extract(epoch from min(s.free_at) - clock_timestamp())::float8 as seconds
  from limit_slots s
 where s.free_at > clock_timestamp()
   and exists (
        select from tasks t
         where t.state = 'WAITING' and t.reason = 'limit' and t.blocked_on = s.key
   );

-- name: usage
select key, count(*) as size,
       count(*) filter (
           where task_id is not null or run_id is not null or free_at > clock_timestamp()
       ) as taken
  from limit_slots group by key order by key;

-- name: unblock
-- Lets everything that waited for a limit be looked at again: it was lifted or has grown. Tasks
-- are locked in the order of their ids, as everywhere.
update tasks
   set blocked_on = null
 where id = any(array(
        select id
          from tasks
         where state = 'WAITING' and reason = 'limit' and blocked_on = %(key)s
         order by id
           for no key update
       ));
