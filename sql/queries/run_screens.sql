-- What the screens of one run show: each with a bound, however many tasks it has.

-- name: tasks
-- One page of tasks. Items stand with their own, and not among the others; what undoes has a tab
-- of its own.
select id, run_id, position, name, kind, state::text as state, reason::text as reason, blocked_on,
       due_at, queue, attempt, counted, exit_code, left(error, 1000) as error, started_at,
       finished_at, role, of, item,
       case when (progress ->> 'attempt')::integer = attempt then progress end as progress
  from tasks
 where run_id = %(run)s and position > %(after)s and position < 1000000000
   and (case when %(of)s::integer is null then role in ('task', 'hook') else of = %(of)s end)
   and (%(state)s::task_state is null or state = %(state)s)
 order by position
 limit %(limit)s;

-- name: calls
-- What a workflow has called, in the order of its code.
select id, run_id, position, name, kind, state::text as state, reason::text as reason, blocked_on,
       due_at, attempt, call_order,
       left(case when kind in ('step', 'moment', 'patch', 'send', 'set', 'write')
                 then invocation -> 'input' else jsonb_strip_nulls(invocation) end::text, 400
       ) as input,
       left(output::text, 400) as output, left(error, 1000) as error, started_at, finished_at,
       case when kind = 'process' then output ->> 'run' end as child
  from tasks
 where run_id = %(run)s and position > %(after)s and role = 'call' and of = %(of)s
 order by position
 limit %(limit)s;

-- name: items
-- How many items of each task stand where.
select of, state::text as state, count(*) as items
  from tasks
 where run_id = %(run)s and role = 'item' and position < 1000000000
 group by of, state
 order by of, state;

-- name: open
-- What keeps a run: its tasks that are neither over nor before their time.
select id, name, kind, state::text as state, reason::text as reason, blocked_on, due_at, queue,
       rank, ready_seq, open, counted, holder, open, error, exit_code, started_at, on_lost, position,
       placement, wanted
  from tasks
 where run_id = %(run)s and state in ('WAITING', 'READY', 'IN_PROGRESS')
 order by position
 limit %(limit)s;

-- name: places
-- How many stand before each READY task in its queue, and before each that waits for a limit; as
-- far as `most`.
select t.id,
       case when t.state = 'READY' then (
        select count(*)
          from (select from tasks q
                 where q.state = 'READY' and q.queue = t.queue
                   and (q.rank, q.ready_seq) < (t.rank, t.ready_seq)
                 limit %(most)s) as before
       ) else (
        select count(*)
          from (select from tasks q
                 where q.state = 'WAITING' and q.reason = 'limit' and q.blocked_on = t.blocked_on
                   and (q.rank, q.id) < (t.rank, t.id)
                 limit %(most)s) as before
       ) end as before
  from tasks t
 where t.id = any(%(tasks)s::bigint[])
   and (t.state = 'READY' or t.reason = 'limit');

-- name: holding
-- Who has the places under these limits.
select s.key, s.slot, t.name as task, t.position, r.id as run, r.type, r.record_id, t.started_at
  from limit_slots s
  join tasks t on t.id = s.task_id
  join runs r on r.id = t.run_id
 where s.key = any(%(keys)s::text[])
 order by s.key, s.slot
 limit %(limit)s;

-- name: held_by
-- Who held it, the last time.
select at, kind, data
  from history
 where run_id = %(run)s and kind = 'run.holding'
 order by seq desc
 limit 1;

-- name: drawn
-- What pictures need of tasks, as far as anybody sees anything in one; what workflows called stands
-- beside them if that is asked for.
select id, run_id, position, name, state::text as state, reason::text as reason, started_at,
       finished_at, successors, role, of
  from tasks
 where run_id = %(run)s
   and position < case when %(calls)s then 2147483647 else 1000000000 end
   and (case when %(of)s::integer is null then role <> 'item' else of = %(of)s end)
 order by position
 limit %(limit)s;

-- name: names
select position, name, state::text as state
  from tasks
 where run_id = %(run)s and role = 'task'
 order by position
 limit %(limit)s;

-- name: undoing
-- What has been undone, or is to be, and what it belongs to.
select u.position, u.name, u.of, u.state::text as state, left(u.error, 1000) as error,
       u.started_at, u.finished_at, u.attempt, u.iteration
  from tasks u
 where u.run_id = %(run)s and u.role = 'undo'
 order by u.position
 limit %(limit)s;

-- name: done
-- What was done, the last of it first: in this order it would be undone.
select position, name, state::text as state, finished_at
  from tasks
 where run_id = %(run)s and role = 'task' and state = 'COMPLETED' and name = any(%(names)s::text[])
 order by finished_at desc, position desc
 limit %(limit)s;

-- name: told
-- What attempts said of themselves.
select position, name, state::text as state, attempt, progress
  from tasks
 where run_id = %(run)s and progress is not null and position > %(after)s
 order by position
 limit %(limit)s;

-- name: rounds
select seq, at, kind, data
  from history
 where run_id = %(run)s and kind in ('run.started', 'run.retried')
 order by seq
 limit %(limit)s;

-- name: letters
select id, task, state::text as state, left(error, 300) as error, made_at, closed_by, round
  from dead_letters
 where run_id = %(run)s
 order by id desc
 limit %(limit)s;

-- name: last_good
-- The last run before this one that came to a good end: of its record if it has one, among so
-- many of its kind.
select id
  from (
        select id, state
          from runs
         where type = %(type)s and (%(record)s::text is null or record_id = %(record)s)
           and id < %(run)s
         order by id desc
         limit %(most)s
       ) as near
 where state = 'COMPLETED'
 order by id desc
 limit 1;

-- name: neighbours
-- Of its record or of its type: the run before and the one after.
select (select id from runs
         where (case when %(record)s::text is null then type = %(type)s
                     else record_id = %(record)s end) and id < %(run)s
         order by id desc limit 1) as before,
       (select id from runs
         where (case when %(record)s::text is null then type = %(type)s
                     else record_id = %(record)s end) and id > %(run)s
         order by id limit 1) as after;

-- name: file
select f.id, f.name, f.type, f.size, encode(f.digest, 'hex') as digest
  from task_files f
 where f.id = %(file)s and f.run_id = %(run)s;

-- name: of_task
-- What happened to one task, the latest first.
select seq, at, kind, attempt, data
  from history
 where run_id = %(run)s and task_id = %(task)s
 order by seq desc
 limit %(limit)s;

-- name: holders
-- Who had which attempts: those that are gone stay known for a while.
select id, name, kind, host, pid, version, state::text as state, renewed_at, lease_until,
       started_at
  from holders
 where id = any(%(holders)s::bigint[]);
