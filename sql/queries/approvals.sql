-- name: ask
insert into approvals (run_id, task_id, attempt, message, who, form, due_at)
values (%(run)s, %(task)s, %(attempt)s, %(message)s, %(who)s, %(form)s, %(due_at)s)
on conflict (task_id, attempt) do nothing;

-- name: get
select a.id, a.run_id, a.task_id, a.attempt, t.name as task, r.type, r.record_id,
       a.state::text as state, a.message, a.who, a.form, a.due_at, a.asked_at, a.decided_at,
       a.decided_by, a.data, a.note
  from approvals a
  join tasks t on t.id = a.task_id
  join runs r on r.id = a.run_id
 where a.id = %(id)s;

-- name: page
-- The newest first, after a cursor; null stands for no filter.
select a.id, a.run_id, a.task_id, a.attempt, t.name as task, r.type, r.record_id,
       a.state::text as state, a.message, a.who, a.form, a.due_at, a.asked_at, a.decided_at,
       a.decided_by, a.data, a.note
  from approvals a
  join tasks t on t.id = a.task_id
  join runs r on r.id = a.run_id
 where a.id < coalesce(%(after)s, 9223372036854775807)
   and (%(state)s::approval_state is null or a.state = %(state)s)
   and (%(run)s::uuid is null or a.run_id = %(run)s)
   and (%(who)s::text[] is null or a.who = '{}' or a.who && %(who)s)
 order by a.id desc
 limit %(limit)s;

-- name: decide
-- Under the lock of its run; of two who decide, one wins.
update approvals
   set state = %(state)s, decided_at = clock_timestamp(), decided_by = %(by)s, data = %(data)s,
       note = %(note)s
 where id = %(id)s and state = 'OPEN'
returning id;

-- name: close
-- Nobody is to decide any more: their tasks went on, or ended, without it.
update approvals
   set state = 'CLOSED', decided_at = clock_timestamp(), note = %(note)s
 where task_id = any(%(tasks)s) and state = 'OPEN';
