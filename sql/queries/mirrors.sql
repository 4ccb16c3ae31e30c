-- name: put_run
-- A run as its workstation tells of it; nothing here waits for a time of it. Whose run it is never
-- changes: what another workstation, or the server, decides about is not touched.
insert into runs (
    id, type, type_version, record_id, round, state, ends_as, priority, input, output, error,
    labels, total, open, failed, events, triggered_by, created_at, started_at, finished_at,
    timeout, parent_run, parent_task, depth, undoes, compensated, workstation
)
select n.id, n.type, n.type_version, n.record_id, n.round, n.state, n.ends_as, n.priority,
       coalesce(n.input, '{}'), n.output, n.error, n.labels, n.total, n.open, n.failed, n.events,
       n.triggered_by, n.created_at, n.started_at, n.finished_at,
       make_interval(secs => n.timeout), n.parent_run, n.parent_task, n.depth, n.undoes,
       n.compensated, %(workstation)s
  from jsonb_to_record(%(row)s::jsonb) as n (
    id uuid, type text, type_version integer, record_id text, round integer, state run_state,
    ends_as run_state, priority smallint, input jsonb, output jsonb, error text, labels jsonb,
    total integer, open integer, failed integer, events integer, triggered_by text,
    created_at timestamptz, started_at timestamptz, finished_at timestamptz,
    timeout double precision, parent_run uuid, parent_task bigint, depth smallint, undoes boolean,
    compensated text
  )
 where exists (
    select from process_type_versions v where v.type = n.type and v.version = n.type_version
 )
on conflict (id) do update
   set round = excluded.round, state = excluded.state, ends_as = excluded.ends_as,
       output = excluded.output, error = excluded.error, total = excluded.total,
       open = excluded.open, failed = excluded.failed, events = excluded.events,
       started_at = excluded.started_at, finished_at = excluded.finished_at,
       undoes = excluded.undoes, compensated = excluded.compensated
 where runs.workstation = excluded.workstation
returning id;

-- name: put_tasks
-- Its tasks. They lie in a queue that nobody serves, with no time and no limit to be looked at.
insert into tasks (
    run_id, position, name, kind, state, reason, blocked_on, queue, rank, ready_seq, required,
    needed, open, passed, successors, handler, settles, judged, on_lost, attempt, counted, lost,
    holder, invocation, exit_code, output, error, started_at, finished_at, role, of, item, iteration
)
select %(run)s, n.position, n.name, n.kind, n.state, n.reason,
       case when n.reason = 'limit' then %(queue)s else n.blocked_on end, %(queue)s, n.rank,
       case when n.state = 'READY' then 0 end, n.required, n.needed, n.open, n.passed,
       n.successors, n.handler, n.settles, n.judged, 'wait', n.attempt, n.counted, n.lost,
       case when n.state = 'IN_PROGRESS' then %(holder)s::bigint end, n.invocation, n.exit_code,
       n.output, n.error, n.started_at, n.finished_at, n.role, n.of, n.item, n.iteration
  from jsonb_to_recordset(%(rows)s::jsonb) as n (
    position integer, name text, kind text, state task_state, reason wait_reason, blocked_on text,
    rank smallint, required integer, needed integer, open integer, passed boolean,
    successors integer[], handler integer, settles boolean, judged boolean, attempt integer,
    counted integer, lost integer, invocation jsonb, exit_code integer, output jsonb, error text,
    started_at timestamptz, finished_at timestamptz, role text, of integer, item jsonb,
    iteration integer
  )
on conflict (run_id, position) do update
   set state = excluded.state, reason = excluded.reason, blocked_on = excluded.blocked_on,
       rank = excluded.rank, ready_seq = excluded.ready_seq, needed = excluded.needed,
       open = excluded.open, passed = excluded.passed, attempt = excluded.attempt,
       counted = excluded.counted, lost = excluded.lost, holder = excluded.holder,
       invocation = excluded.invocation, exit_code = excluded.exit_code, output = excluded.output,
       error = excluded.error, started_at = excluded.started_at,
       finished_at = excluded.finished_at, item = excluded.item, iteration = excluded.iteration;

-- name: put_hands
-- Attempts whose logs may come. They are the workstation's own, so nobody here misses them.
insert into workstation_hands (workstation, task_id, attempt, run_id, stage)
select %(workstation)s, id, attempt, run_id, 'OVER'
  from tasks
 where run_id = %(run)s and position = any(%(positions)s::integer[]) and attempt > 0
on conflict (workstation, task_id, attempt) do nothing;

-- name: tasks_of
select position, id from tasks where run_id = %(run)s and position = any(%(positions)s::integer[]);

-- name: parent_of
-- The task that an attempt in this workstation's hands belongs to.
select run_id, task_id
  from workstation_hands
 where workstation = %(workstation)s and task_id = %(task)s and attempt = %(attempt)s;

-- name: task_at
-- A task of another run of the same workstation.
select t.id
  from tasks t
  join runs r on r.id = t.run_id
 where t.run_id = %(run)s and t.position = %(position)s and r.workstation = %(workstation)s;

-- name: own_hands
-- By the names of a workstation's own attempts: how much of their logs is stored.
select k.run_id, k.position, k.number, t.id as task_id, h.logged
  from unnest(%(runs)s::uuid[], %(positions)s::integer[], %(numbers)s::integer[])
    as k (run_id, position, number)
  join tasks t on t.run_id = k.run_id and t.position = k.position
  join workstation_hands h
    on h.workstation = %(workstation)s and h.task_id = t.id and h.attempt = k.number;

-- name: put_questions
-- What a run there asks of people; it is answered there.
insert into approvals (
    run_id, task_id, attempt, state, message, who, form, due_at, decided_at, decided_by, data, note
)
select %(run)s, t.id, n.attempt, n.state, n.message, n.who, n.form, to_timestamp(n.due),
       case when n.state <> 'OPEN' then clock_timestamp() end, n.by, n.data, n.note
  from jsonb_to_recordset(%(rows)s::jsonb) as n (
    position integer, attempt integer, state approval_state, message text, who text[], form jsonb,
    due double precision, by text, data jsonb, note text
  )
  join tasks t on t.run_id = %(run)s and t.position = n.position
on conflict (task_id, attempt) do update
   set state = excluded.state, decided_at = coalesce(approvals.decided_at, excluded.decided_at),
       decided_by = excluded.decided_by, data = excluded.data, note = excluded.note;

-- name: station_of
-- Who decides about a run, if that is a workstation.
select w.id, w.name, w.state::text as state, w.heard_at, w.does
  from runs r
  join workstations w on w.id = r.workstation
 where r.id = %(run)s;

-- name: asked
-- What a workstation was asked for of one of its runs, of one verb those that it has not answered.
select verb, asked_by, delivered_at, done_at, applied, why, data
  from workstation_commands
 where workstation = %(workstation)s and attempt = %(run)s
   and (%(verb)s::text is null or (verb = %(verb)s and done_at is null))
   and asked_at > clock_timestamp() - interval '1 day'
 order by id desc
 limit 20;

-- name: question
-- Where in its run a question stands.
select t.position, a.attempt
  from approvals a
  join tasks t on t.id = a.task_id
 where a.id = %(approval)s;

-- name: put_ticks
-- What became of ticks there. One that has a fate here keeps it, unless it waited.
insert into ticks (schedule_id, tick, kind, state, reason, run_id, due_at, until)
select s.schedule_id, n.tick, 'time', n.state, n.reason, n.run, n.due, n.until
  from jsonb_to_recordset(%(rows)s::jsonb) as n (
    tick timestamptz, state tick_state, reason text, run uuid, due timestamptz, until timestamptz
  )
  join workstation_schedules s
    on s.schedule_id = %(schedule)s and s.workstation = %(workstation)s
on conflict (schedule_id, tick) do update
   set state = excluded.state, reason = excluded.reason, run_id = excluded.run_id
 where ticks.state = 'QUEUED';

-- name: move_schedule
update schedules s
   set next_tick = %(next_tick)s::timestamptz, queued = null,
       last_tick = greatest(s.last_tick, %(last_tick)s::timestamptz)
  from workstation_schedules w
 where s.id = %(schedule)s and w.schedule_id = s.id and w.workstation = %(workstation)s;
