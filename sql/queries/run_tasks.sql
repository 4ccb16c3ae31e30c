-- name: by_name
-- A task may be called like another's position: its name counts first. Of calls of one name, and of
-- a task, it is the first.
select id
  from tasks
 where run_id = %(run)s and (name = %(name)s or position = %(position)s::integer)
 order by name = %(name)s desc, position
 limit 1;

-- name: names
select id, name from tasks where run_id = %(run)s and id = any(%(tasks)s::bigint[]);

-- name: page
select id, run_id, position, name, kind, state::text as state, reason::text as reason, blocked_on,
       due_at, queue, 9 - rank / 2 as priority, needed, open, attempt, counted, lost, holder, wanted,
       invocation, exit_code, output, error, started_at, finished_at, successors, handler,
       limit_keys, on_lost, role, of, item, iteration, share, placement, call_order,
       case when (progress ->> 'attempt')::integer = attempt then progress end as progress
  from tasks
 where run_id = %(run)s and position > %(after)s
 order by position
 limit %(limit)s;
