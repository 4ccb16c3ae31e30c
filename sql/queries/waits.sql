-- name: lock
-- A waiter takes this and an event the one below before they look, so that neither misses the
-- other. In the order of the keys, whoever asks. Several keys share a lock: the locks of a
-- transaction stand in memory that all transactions share.
select pg_advisory_xact_lock(738194, key)
  from (
    select distinct (hashtextextended(type || chr(31) || key, 5) & 511)::integer as key
      from unnest(%(types)s::text[], %(keys)s::text[]) as w (type, key)
     order by 1
  ) as k;

-- name: lock_shared
-- Events do not stand in each other's way.
select pg_advisory_xact_lock_shared(738194, key)
  from (
    select distinct (hashtextextended(type || chr(31) || key, 5) & 511)::integer as key
      from unnest(%(types)s::text[], %(keys)s::text[]) as w (type, key)
     order by 1
  ) as k;

-- name: add
-- Where a run waits for the same event again, it waits for the next one.
insert into waits (task_id, run_id, type, key, after)
select task_id, run_id, type, key, coalesce((
        select max(h.after) from waits h where h.run_id = w.run_id and h.type = w.type and h.key = w.key
       ), 0)
  from unnest(
    %(tasks)s::bigint[], %(runs)s::uuid[], %(types)s::text[], %(keys)s::text[]
  ) as w (task_id, run_id, type, key)
on conflict (task_id) do update set type = excluded.type, key = excluded.key;

-- name: find
-- For each that waits, the first event that came since its run began and that it has not had.
select w.task_id, w.run_id, e.id as event
  from waits w
  join runs r on r.id = w.run_id
 cross join lateral (
    select id
      from events
     where type = w.type and key = w.key and id > w.after and received_at >= r.created_at
     order by id
     limit 1
  ) as e
 where w.task_id = any(%(tasks)s);

-- name: had
-- What a task was given, or looked at and did not want.
update waits set after = greatest(after, %(event)s) where task_id = %(task)s;

-- name: reached
-- Those who wait for what has just been stored; they are told by an errand each.
insert into errands (run_id, task_id, kind, data)
select w.run_id, w.task_id, 'event', jsonb_build_object('event', e.id)
  from events e
  join waits w on w.type = e.type and w.key = e.key and w.after < e.id
 where e.id = any(%(events)s)
   and exists (
        select from tasks t where t.id = w.task_id and t.state = 'WAITING' and t.reason = 'signal'
   )
 order by e.id;
