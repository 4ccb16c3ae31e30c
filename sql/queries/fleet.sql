-- Workers and queues as people look at them. Counts end at `most`.

-- name: workers
-- Those that live and those that left within the last week, the newest incarnation of each name;
-- after a cursor. Workstations have a page of their own.
select h.id, h.name, h.kind, h.host, h.pid, h.version, h.queues, h.slots, h.state::text as state,
       h.started_at, h.renewed_at, h.lease_until, h.lease_until < clock_timestamp() as is_silent,
       (select count(*) from tasks t where t.holder = h.id) as in_hand
  from (
    select distinct on (name) *
      from holders
     where name > %(after)s and kind <> 'agent'
       and (state <> 'GONE' or renewed_at > clock_timestamp() - interval '7 days')
     order by name, id desc
  ) as h
 where (%(state)s::holder_state is null or h.state = %(state)s)
   and (%(queue)s::text is null or %(queue)s = any(h.queues))
   and (%(text)s::text is null
        or strpos(lower(h.name), lower(%(text)s)) > 0 or strpos(lower(h.host), lower(%(text)s)) > 0)
 order by h.name
 limit %(limit)s;

-- name: named
-- The newest incarnation of each of these names.
select distinct on (name)
       id, name, host, queues, slots, state::text as state,
       (select count(*) from tasks t where t.holder = holders.id) as in_hand
  from holders
 where name = any(%(names)s::text[])
 order by name, id desc;

-- name: counts
-- How many names there are in each state, in all.
select h.state::text as state, count(*) as workers
  from (
    select distinct on (name) state
      from holders
     where kind <> 'agent'
       and (state <> 'GONE' or renewed_at > clock_timestamp() - interval '7 days')
     order by name, id desc
  ) as h
 group by h.state;

-- name: incarnations
-- Of one name, the newest first.
select id, name, kind, host, pid, version, queues, slots, state::text as state, started_at,
       renewed_at, lease_until, lease_until < clock_timestamp() as is_silent,
       (select count(*) from tasks t where t.holder = holders.id) as in_hand
  from holders
 where name = %(name)s
 order by id desc
 limit %(limit)s;

-- name: presence
-- When these names were there within the last week.
select name, greatest(started_at, clock_timestamp() - interval '7 days') as since,
       case when state = 'GONE' then renewed_at else clock_timestamp() end as until
  from holders
 where name = any(%(names)s::text[])
   and (state <> 'GONE' or renewed_at > clock_timestamp() - interval '7 days')
 order by name, id desc
 limit %(limit)s;

-- name: in_hand
-- What each of these holders has in hand, the oldest first.
select h.id as holder, t.id as task_id, t.name as task, t.position, t.queue, t.attempt,
       t.started_at, t.progress, r.id as run, r.type, r.record_id
  from unnest(%(holders)s::bigint[]) as h (id)
 cross join lateral (
    select *
      from tasks
     where holder = h.id
     order by started_at, id
     limit %(each)s
 ) as t
  join runs r on r.id = t.run_id
 order by t.started_at, t.id;

-- name: lost
-- What a holder had in hand when it went: its attempts were given up by the reaper soon after.
select a.run_id as run, a.number as attempt, a.started_at, a.finished_at, a.error, t.name as task,
       t.position, t.state::text as state, r.type, r.record_id
  from attempts a
  join tasks t on t.id = a.task_id
  join runs r on r.id = a.run_id
 where a.holder = %(holder)s and a.state = 'LOST'
   and a.finished_at >= %(since)s::timestamptz
   and a.finished_at < %(since)s::timestamptz + interval '1 day'
 order by a.finished_at, a.task_id
 limit %(limit)s;

-- name: queues
-- Every queue that has a setting, a worker, or work that is READY: one step of the index for each.
with recursive busy as (
    (select queue from tasks where state = 'READY' order by queue limit 1)
    union all
    select (select t.queue from tasks t where t.state = 'READY' and t.queue > b.queue
             order by t.queue limit 1)
      from busy b
     where b.queue is not null
), known as (
    select queue as name from busy where queue is not null
    union
    select name from queues
    union
    select unnest(queues) from holders where state <> 'GONE'
    union
    select queue from tasks where holder is not null
), shown as (
    select name
      from known
     where name > %(after)s
       and (%(text)s::text is null or strpos(lower(name), lower(%(text)s)) > 0)
       and (%(only)s::text is null or name = %(only)s)
     order by name
     limit %(limit)s
)
select s.name, q.paused_at, q.note, q.size, q.updated_at, q.updated_by,
       (select count(*)
          from (select from tasks where state = 'READY' and queue = s.name limit %(most)s) as few)
           as ready,
       (select count(*) from tasks t where t.holder is not null and t.queue = s.name) as in_hand,
       (select count(*)
          from (
            select
              from tasks
             where state = 'WAITING' and reason = 'limit' and blocked_on = 'queue:' || s.name
             limit %(most)s
          ) as few) as waiting,
       (select count(*)
          from holders h
         where h.state = 'ACTIVE' and h.lease_until > clock_timestamp() and s.name = any(h.queues))
           as workers,
       (select coalesce(sum(h.slots), 0)
          from holders h
         where h.state = 'ACTIVE' and h.lease_until > clock_timestamp() and s.name = any(h.queues))
           as slots
  from shown s
  left join queues q on q.name = s.name
 order by s.name;

-- name: came
-- Tasks of the newest runs that began within the last five minutes, by queue, and the seconds that
-- these tell something about: less where there are more runs than are looked at.
with newest as materialized (
    select id, created_at from runs where id >= %(lowest)s order by id desc limit %(most)s
), recent as materialized (
    select id, created_at from newest where created_at > clock_timestamp() - interval '5 minutes'
)
select t.queue, count(*) as tasks,
       (select case when count(*) < %(most)s then 300
                    else greatest(1, extract(epoch from clock_timestamp() - min(created_at))) end
          from recent)::float8 as seconds
  from recent n
  join tasks t on t.run_id = n.id
 -- What programs do themselves waits in no queue.
 where t.kind not in ('step', 'moment', 'patch', 'send', 'set', 'write')
 group by t.queue;

-- name: went
-- Attempts that ended within the last minute, by queue; of very many the first few, with the seconds
-- that these took.
with ended as materialized (
    select task_id, finished_at
      from attempts
     where finished_at > now() - interval '1 minute'
     limit %(most)s
)
select t.queue, count(*) as attempts,
       (select case when count(*) < %(most)s then 60
                    else greatest(1, extract(epoch from max(finished_at) - min(finished_at))) end
          from ended)::float8 as seconds
  from ended e
  join tasks t on t.id = e.task_id
 group by t.queue;

-- name: next_up
-- What is claimed next from a queue.
select t.id as task_id, t.name as task, t.position, t.rank, r.id as run, r.type, r.record_id,
       r.priority, r.created_at
  from (
    select id, run_id, name, position, rank, ready_seq
      from tasks
     where state = 'READY' and queue = %(queue)s
     order by rank, ready_seq
     limit %(limit)s
  ) as t
  join runs r on r.id = t.run_id
 order by t.rank, t.ready_seq;

-- name: in_hand_of_queue
select t.id as task_id, t.name as task, t.position, t.attempt, t.started_at, h.name as worker,
       r.id as run, r.type, r.record_id
  from tasks t
  join runs r on r.id = t.run_id
  left join holders h on h.id = t.holder
 where t.holder is not null and t.queue = %(queue)s
 order by t.started_at, t.id
 limit %(limit)s;

-- name: limits
-- Limits with places, one step of the index for each; how many are taken, and how many wait.
with recursive places as (
    (select key
       from limit_slots
      where key > %(after)s and starts_with(key, %(prefix)s)
      order by key limit 1)
    union all
    select (select s.key
              from limit_slots s
             where s.key > p.key and starts_with(s.key, %(prefix)s)
             order by s.key limit 1)
      from places p
     where p.key is not null
), shown as (
    select key from places where key is not null limit %(limit)s
)
select s.key, count(l.slot) as size, max(l.per) as per,
       count(*) filter (
           where l.task_id is not null or l.run_id is not null or l.free_at > clock_timestamp()
       ) as taken,
       min(l.free_at) filter (where l.free_at > clock_timestamp()) as next_free_at,
       (select count(*)
          from (
            select
              from tasks
             where state = 'WAITING' and reason = 'limit' and blocked_on = s.key
             limit %(most)s
          ) as few) as waiting
  from shown s
  join limit_slots l on l.key = s.key
 group by s.key
 order by s.key;

-- name: limit
-- One of them; no row if it has no places.
select key, count(*) as size, max(per) as per,
       count(*) filter (
           where task_id is not null or run_id is not null or free_at > clock_timestamp()
       ) as taken,
       min(free_at) filter (where free_at > clock_timestamp()) as next_free_at,
       (select count(*)
          from (
            select
              from tasks
             where state = 'WAITING' and reason = 'limit' and blocked_on = %(key)s
             limit %(most)s
          ) as few) as waiting
  from limit_slots
 where key = %(key)s
 group by key;

-- name: holders_of
-- Who has the places of a limit: a task, a whole run, or a moment in a window of time.
select s.slot, s.task_id, s.free_at, s.per, t.name as task, t.position, t.state::text as state,
       t.started_at, r.id as run, r.type, r.record_id, r.created_at
  from limit_slots s
  left join tasks t on t.id = s.task_id
  left join runs r on r.id = coalesce(t.run_id, s.run_id)
 where s.key = %(key)s
   and (s.task_id is not null or s.run_id is not null or s.free_at > clock_timestamp())
 order by s.slot
 limit %(limit)s;

-- name: waiters_of
-- Who waits for a place under a limit, the first to get one first.
select t.id as task_id, t.name as task, t.position, t.queue, t.share, r.id as run, r.type,
       r.record_id, r.created_at
  from (
    select *
      from tasks
     where state = 'WAITING' and reason = 'limit' and blocked_on = %(key)s
     order by rank, id
     limit %(limit)s
  ) as t
  join runs r on r.id = t.run_id
 order by t.rank, t.id;
