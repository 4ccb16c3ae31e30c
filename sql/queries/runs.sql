-- name: start
-- A run and its tasks, copied from a published version, as many times as there are ids. The rows
-- are nobody's but this transaction's, so no lock is needed before they are READY.
with version as (
    select v.type, v.version, count(*)::integer as total,
           bool_or(k.required = 0 and not k.settles
                   and k.queue <> all(array(select name from queues where size is not null))
           ) as begins
      from process_type_versions v
      join process_type_tasks k on k.type = v.type and k.version = v.version
     where v.type = %(type)s and v.version = %(version)s
     group by v.type, v.version
), run as (
    insert into runs (
        id, type, type_version, record_id, state, priority, input, labels, total, open,
        triggered_by, timeout, due_at, started_at, events, parent_run, parent_task, depth
    )
    select new.id, v.type, v.version, %(record)s,
           case when v.begins then 'IN_PROGRESS' else 'PENDING' end::run_state,
           %(priority)s, new.input, %(labels)s, v.total, v.total,
           %(triggered_by)s, %(timeout)s::interval, clock_timestamp() + %(timeout)s::interval,
           clock_timestamp(), 1, %(parent_run)s, %(parent_task)s, %(depth)s
      from version v, unnest(%(ids)s::uuid[], %(inputs)s::jsonb[]) as new (id, input)
    returning id
), task as (
    insert into tasks (
        run_id, position, name, kind, state, reason, due_at, queue, rank, ready_seq,
        required, needed, open, successors, handler, settles, judged, on_lost, invocation,
        placement
    )
    select r.id, k.position, k.name, k.kind,
           case when k.required > 0 then 'PENDING' when k.wait is null then 'READY'
                else 'WAITING' end::task_state,
           case when k.required = 0 then k.wait end,
           case when k.required = 0 and k.wait = 'settle' then clock_timestamp() end,
           k.queue, 2 * (9 - coalesce(%(task_priority)s, k.priority)) + 1,
           case when k.required = 0 and k.wait is null then nextval('ready_seq') end,
           k.required, k.required, k.open, k.successors, k.handler, k.settles, k.judged,
           k.on_lost, k.invocation, k.placement
      from run r, (
        select *, case when settles then 'settle'
                       when queue = any(array(select name from queues where size is not null))
                           then 'limit'
                  end::wait_reason as wait
          from process_type_tasks
         where type = %(type)s and version = %(version)s
      ) k
     order by r.id, k.position
    returning run_id, queue, state, reason
), told as (
    insert into history (run_id, seq, kind, data)
    select id, 1, 'run.started', %(event)s from run
)
select array_agg(distinct queue) filter (where state = 'READY') as readied,
       array_agg(distinct run_id) filter (where reason = 'settle') as unsettled,
       array_agg(distinct run_id) filter (where reason = 'limit') as limited
  from task;

-- name: lock
-- Whoever changes a run's tasks does this first, for all its runs at once, in the order of ids.
select id, state::text as state
  from runs
 where id = any(%(ids)s)
 order by id
   for no key update;

-- name: lock_free
-- The same for loops, which leave to others what others are changing.
select id
  from runs
 where id = any(%(ids)s)
 order by id
   for no key update skip locked;

-- name: lock_boards
-- What a workstation decides about, nobody here does.
select id, type, type_version, record_id, round, state, ends_as, priority, input, error, total,
       open, failed, events, started_at, finished_at, timeout, due_at, group_key, admitted,
       labels, parent_run, parent_task, depth, undoes, compensated
  from runs
 where id = any(%(ids)s) and workstation is null
 order by id
   for no key update;

-- name: write
-- Writes back what a board decided. The runs are locked by the caller.
update runs r
   set state = u.state, ends_as = u.ends_as, round = u.round, input = u.input, error = u.error,
       open = u.open, failed = u.failed, events = u.events, finished_at = u.finished_at,
       due_at = u.due_at, group_key = u.group_key, admitted = u.admitted, total = u.total,
       undoes = u.undoes, compensated = u.compensated,
       output = case when u.output_changed then u.output else r.output end
  from unnest(
    %(ids)s::uuid[], %(states)s::run_state[], %(ends_as)s::run_state[], %(rounds)s::integer[],
    %(inputs)s::jsonb[], %(errors)s::text[], %(open)s::integer[], %(failed)s::integer[],
    %(events)s::integer[], %(finished_at)s::timestamptz[], %(due_at)s::timestamptz[],
    %(group_keys)s::text[], %(admitted)s::boolean[], %(totals)s::integer[],
    %(undoes)s::boolean[], %(compensated)s::text[], %(outputs)s::jsonb[],
    %(output_changed)s::boolean[]
  ) as u (
    id, state, ends_as, round, input, error, open, failed, events, finished_at, due_at, group_key,
    admitted, total, undoes, compensated, output, output_changed
  )
 where r.id = u.id;

-- name: overdue
-- Runs whose own timeout has passed. The time is asked for once: one that is asked for anew with each
-- row bounds no index.
select id
  from runs
 where due_at <= (select clock_timestamp())
 order by due_at
 limit %(limit)s;

-- name: get
select id, type, type_version, record_id, round, state::text as state, priority, input, output,
       error, labels, total, open, failed, events, triggered_by, created_at, started_at,
       finished_at, due_at, parent_run, parent_task, depth, compensated, forked_from
  from runs
 where id = %(id)s;

-- name: page
-- The newest first, after a cursor; null stands for no filter. Planned anew for the filters that
-- are given, so that each finds its index. `lowest` and `below` say by ids what others say by
-- times.
select id, type, type_version, record_id, round, state::text as state, priority, input, output,
       error, labels, total, open, failed, events, triggered_by, created_at, started_at,
       finished_at, due_at, parent_run, parent_task, depth, compensated, forked_from
  from runs
 where (%(after)s::uuid is null or id < %(after)s)
   and (%(lowest)s::uuid is null or id >= %(lowest)s)
   and (%(below)s::uuid is null or id < %(below)s)
   and (%(type)s::text is null or type = %(type)s)
   and (%(record)s::text is null or record_id = %(record)s)
   and (%(state)s::run_state is null or state = %(state)s)
   and (%(states)s::run_state[] is null or state = any(%(states)s))
   and (%(labels)s::jsonb is null or (labels @> %(labels)s and labels <> '{}'))
   and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
   and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
   and (%(finished_from)s::timestamptz is null or finished_at >= %(finished_from)s)
   and (%(finished_to)s::timestamptz is null or finished_at < %(finished_to)s)
   and (%(error)s::text is null
        or (error is not null and strpos(lower(error), lower(%(error)s)) > 0))
   and (%(by)s::text is null or strpos(lower(triggered_by), lower(%(by)s)) > 0)
   and (%(longer)s::interval is null
        or coalesce(finished_at, clock_timestamp()) - started_at >= %(longer)s)
   and (%(shorter)s::interval is null
        or coalesce(finished_at, clock_timestamp()) - started_at < %(shorter)s)
 order by id desc
 limit %(limit)s;

-- name: children
-- What a run started, the newest first, after a cursor.
select id, type, type_version, record_id, round, state::text as state, priority, input, output,
       error, labels, total, open, failed, events, triggered_by, created_at, started_at,
       finished_at, due_at, parent_run, parent_task, depth, compensated, forked_from
  from runs
 where parent_run = %(run)s and (%(after)s::uuid is null or id < %(after)s)
 order by id desc
 limit %(limit)s;

-- name: horizon
-- The last of so many runs, or of so many with an error: nobody looks for a text, or for how long
-- something took, beyond it at once.
select id
  from runs
 where (%(after)s::uuid is null or id < %(after)s)
   and (%(lowest)s::uuid is null or id >= %(lowest)s)
   and (%(below)s::uuid is null or id < %(below)s)
   and (%(type)s::text is null or type = %(type)s)
   and (%(record)s::text is null or record_id = %(record)s)
   and (%(state)s::run_state is null or state = %(state)s)
   and (%(states)s::run_state[] is null or state = any(%(states)s))
   and (%(labels)s::jsonb is null or (labels @> %(labels)s and labels <> '{}'))
   and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
   and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
   and (%(finished_from)s::timestamptz is null or finished_at >= %(finished_from)s)
   and (%(finished_to)s::timestamptz is null or finished_at < %(finished_to)s)
   and (not %(with_error)s::boolean or error is not null)
 order by id desc
offset %(most)s - 1
 limit 1;

-- name: reach
-- The last of so many runs in a state, whatever their labels.
select id
  from runs
 where (%(after)s::uuid is null or id < %(after)s)
   and (%(lowest)s::uuid is null or id >= %(lowest)s)
   and (%(below)s::uuid is null or id < %(below)s)
   and (%(type)s::text is null or type = %(type)s)
   and (%(record)s::text is null or record_id = %(record)s)
   and (%(state)s::run_state is null or state = %(state)s)
   and (%(states)s::run_state[] is null or state = any(%(states)s))
 order by id desc
offset %(most)s - 1
 limit 1;

-- name: count
-- How many pass the filters of `page`, as far as `most`.
select count(*) as runs
  from (
    select
      from runs
     where (%(after)s::uuid is null or id < %(after)s)
       and (%(lowest)s::uuid is null or id >= %(lowest)s)
       and (%(below)s::uuid is null or id < %(below)s)
       and (%(type)s::text is null or type = %(type)s)
       and (%(record)s::text is null or record_id = %(record)s)
       and (%(state)s::run_state is null or state = %(state)s)
       and (%(states)s::run_state[] is null or state = any(%(states)s))
       and (%(labels)s::jsonb is null or (labels @> %(labels)s and labels <> '{}'))
       and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
       and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
       and (%(finished_from)s::timestamptz is null or finished_at >= %(finished_from)s)
       and (%(finished_to)s::timestamptz is null or finished_at < %(finished_to)s)
       and (%(error)s::text is null
            or (error is not null and strpos(lower(error), lower(%(error)s)) > 0))
       and (%(by)s::text is null or strpos(lower(triggered_by), lower(%(by)s)) > 0)
       and (%(longer)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at >= %(longer)s)
       and (%(shorter)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at < %(shorter)s)
     limit %(most)s
  ) as found;

-- name: named
-- Those of these runs that there are.
select id from runs where id = any(%(ids)s) order by id;

-- name: states
select id, state::text as state, open, total from runs where id = any(%(ids)s);

-- name: change
-- What people may say of a run that was started; its caller has locked it, and tells its history
-- under the number that comes back.
update runs
   set priority = %(priority)s, labels = %(labels)s, events = events + 1
 where id = %(id)s
returning events;

-- name: remember
-- One run for each key: the second to come finds the first one's.
insert into idempotency_keys (key, digest, run_id)
values (%(key)s, %(digest)s, %(run)s)
on conflict (key) do nothing
returning run_id;

-- name: remembered
select key, digest, run_id from idempotency_keys where key = %(key)s;

-- name: forget_keys
-- A key lives as long as it is promised to; after that the same key starts a new run.
delete from idempotency_keys where created_at < clock_timestamp() - %(age)s::interval;
