-- What people read of logs, from wherever they want to, whatever their size.

-- name: from_
-- Stored parts from an offset on, in order; the first may begin before it. Its own beginning is
-- found first, so that nothing before it is looked at.
select task_id, attempt, start, stream, data
  from output_chunks
 where task_id = %(task)s and attempt = %(attempt)s
   and start >= coalesce((
        select before.start
          from output_chunks before
         where before.task_id = %(task)s and before.attempt = %(attempt)s
           and before.start <= %(from)s
         order by before.start desc
         limit 1
       ), 0)
   and start + length(data) > %(from)s
 order by start
 limit %(limit)s;

-- name: before
-- The parts that begin before an offset, the nearest first.
select task_id, attempt, start, stream, data
  from output_chunks
 where task_id = %(task)s and attempt = %(attempt)s and start < %(to)s
 order by start desc
 limit %(limit)s;

-- name: latest
-- Which parts came last before a moment, over the tasks of a run that began last before it. They
-- are named and not read: their contents may be large.
select c.task_id, t.name, t.position, c.attempt, c.start, c.stream, c.size, c.at
  from (
        select id, name, position
          from tasks
         where run_id = %(run)s and attempt > 0
           and kind not in ('step', 'moment', 'patch', 'send', 'set', 'write')  -- these print nothing
           and (%(before)s::timestamptz is null or started_at < %(before)s)
         order by started_at desc nulls last
         limit %(tasks)s
       ) as t
 cross join lateral (
        select task_id, attempt, start, stream, length(data) as size, at
          from output_chunks
         where task_id = t.id and at >= %(since)s
           and (%(before)s::timestamptz is null or at < %(before)s)
         order by attempt desc, start desc
         limit %(each)s
       ) as c
 order by c.at desc, c.task_id, c.start desc
 limit %(limit)s;

-- name: parts
select c.task_id, c.attempt, c.start, c.stream, c.data
  from unnest(%(tasks)s::bigint[], %(attempts)s::integer[], %(starts)s::bigint[])
       as k (task_id, attempt, start)
  join output_chunks c using (task_id, attempt, start)
 where c.at >= %(since)s;
