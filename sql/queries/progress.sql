-- name: tell
-- What attempts in one holder's hands say about themselves. Rows are taken in the order of their
-- ids and nothing else is held, so no lock order can be broken; what is over keeps what it said.
with said as materialized (
    select t.id, k.progress
      from unnest(%(tasks)s::bigint[], %(attempts)s::integer[], %(progress)s::jsonb[])
        as k (task_id, attempt, progress)
      join tasks t on t.id = k.task_id and t.attempt = k.attempt
     where t.holder = %(holder)s and t.state = 'IN_PROGRESS'
     order by t.id
       for no key update of t
)
update tasks t
   set progress = s.progress || jsonb_build_object('attempt', t.attempt)
  from said s
 where t.id = s.id
returning t.run_id;
