-- name: share
-- A waiting job with this lock, kept from being fetched before the caller commits: what the caller
-- leaves for it is there when it begins. Others may share it at the same time.
select id
  from procrastinate_jobs
 where queueing_lock = %(lock)s and status = 'todo'
   for share;

-- name: defer
select (procrastinate_defer_jobs_v1(array[row(
            'chores', %(chore)s, %(priority)s, null, %(lock)s, %(args)s, %(at)s
       )::procrastinate_job_to_defer_v1]))[1] as id;

-- name: finish
-- Only by the worker that has it, and only this attempt of it: who lost it changes nothing. What
-- became of it stands in the history together with the change.
with mine as (
    update procrastinate_jobs
       set status = %(status)s::procrastinate_job_status, worker_id = null,
           abort_requested = false, attempts = attempts + %(counted)s::integer,
           scheduled_at = %(at)s::timestamptz
     where id = %(job)s and status = 'doing' and worker_id = %(worker)s
       and attempts = %(attempt)s
    returning id, task_name, args
)
insert into chore_history (job, chore, args, attempt, state, server, started_at, error, trace)
select id, task_name, args, %(attempt)s::integer + 1, %(state)s, %(server)s,
       %(started)s::timestamptz, %(error)s, %(trace)s
  from mine
returning job;

-- name: beat
update procrastinate_workers
   set last_heartbeat = clock_timestamp()
 where id = %(worker)s
returning id;

-- name: in_hand
select id from procrastinate_jobs where status = 'doing' and worker_id = %(worker)s;

-- name: stalled
-- In the hands of nobody, or of a worker that has been silent for too long.
select j.id, j.attempts
  from procrastinate_jobs j
  left join procrastinate_workers w on w.id = j.worker_id
 where j.status = 'doing'
   and (w.id is null
        or w.last_heartbeat < clock_timestamp() - %(silent)s::interval)
 order by j.id
 limit %(limit)s
   for update of j skip locked;

-- name: give_back
-- To whoever fetches it next, or to the failed ones after too many attempts.
with lost as (
    update procrastinate_jobs
       set status = (case when attempts + %(counted)s::integer >= %(most)s then 'failed'
                          else 'todo' end)::procrastinate_job_status,
           worker_id = null, abort_requested = false,
           attempts = attempts + %(counted)s::integer
     where id = %(job)s and status = 'doing' and attempts = %(attempt)s
    returning id, task_name, args, attempts, status
)
insert into chore_history (job, chore, args, attempt, state, server, error)
select id, task_name, args, %(attempt)s::integer + 1,
       case when status = 'failed' then 'FAILED' else %(state)s end, %(server)s, %(error)s
  from lost
returning job;

-- name: merge
-- Another one waits that does the same.
with merged as (
    update procrastinate_jobs
       set status = 'cancelled', worker_id = null, abort_requested = false
     where id = %(job)s and status in ('doing', 'failed')
    returning id, task_name, args, attempts
)
insert into chore_history (job, chore, args, attempt, state, server, error)
select id, task_name, args, attempts + 1, 'MERGED', %(server)s,
       'another one waits that does the same'
  from merged
returning job;

-- name: forget_workers
delete from procrastinate_workers w
 where last_heartbeat < clock_timestamp() - %(silent)s::interval
   and not exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing');

-- name: sweep
-- What ended has its line in the history.
delete from procrastinate_jobs
 where id = any(array(
        select id
          from procrastinate_jobs
         where status in ('succeeded', 'cancelled', 'aborted')
         order by id
         limit %(limit)s
           for update skip locked
       ));

-- name: forget_history
delete from chore_history
 where id = any(array(
        select id
          from chore_history
         where ended_at < clock_timestamp() - %(life)s::interval
         order by ended_at
         limit %(limit)s
           for update skip locked
       ));

-- name: forget_failed
-- What failed and nobody has touched for so long.
with gone as (
    delete from procrastinate_jobs
     where id = any(array(
            select id
              from procrastinate_jobs j
             where status = 'failed'
               and not exists (
                    select
                      from procrastinate_events e
                     where e.job_id = j.id and e.at >= clock_timestamp() - %(life)s::interval
                   )
             limit %(limit)s
               for update skip locked
           ))
    returning id, task_name, args, attempts
)
insert into chore_history (job, chore, args, attempt, state, server, error)
select id, task_name, args, attempts, 'DELETED', %(server)s, 'it failed, and nobody took it up'
  from gone
returning job;

-- name: plan
insert into chore_plans (chore, every)
values (%(chore)s, %(every)s)
on conflict (chore) do update set every = excluded.every where chore_plans.every <> excluded.every;

-- name: planned
select chore, extract(epoch from due_at - clock_timestamp())::float8 as seconds
  from chore_plans
 order by chore;

-- name: due
-- What has nothing to do is not deferred: an idle system stays idle.
update chore_plans
   set due_at = clock_timestamp() + every
 where chore = any(%(chores)s::text[]) and due_at <= clock_timestamp()
   and (chore <> 'watch' or exists (select from notification_rules))
   and (chore <> 'deliver_notifications'
        or exists (select from notification_deliveries
                    where state = 'PENDING' and next_at <= clock_timestamp()))
returning chore;

-- name: note_progress
insert into chore_progress (job, done, total, note)
values (%(job)s, %(done)s, %(total)s, %(note)s)
on conflict (job) do update
   set done = excluded.done, total = excluded.total, note = excluded.note,
       updated_at = clock_timestamp();

-- name: page
select j.id, j.task_name as chore, j.args, j.priority, j.attempts, j.queueing_lock as lock,
       case when j.status = 'todo' and j.scheduled_at > clock_timestamp() then 'SCHEDULED'
            when j.status = 'todo' then 'WAITING'
            when j.status = 'doing' then 'RUNNING'
            else 'FAILED' end as status,
       j.scheduled_at, p.done, p.total, p.note, h.error, h.ended_at as failed_at,
       (select at from procrastinate_events e where e.job_id = j.id order by e.id limit 1)
           as deferred_at
  from procrastinate_jobs j
  left join chore_progress p on p.job = j.id
  left join lateral (
        select error, ended_at from chore_history where job = j.id order by id desc limit 1
       ) h on true
 where j.status in ('todo', 'doing', 'failed')
   and (%(status)s::text is null
        or case %(status)s when 'SCHEDULED' then j.status = 'todo'
                                and j.scheduled_at > clock_timestamp()
                           when 'WAITING' then j.status = 'todo'
                                and coalesce(j.scheduled_at <= clock_timestamp(), true)
                           when 'RUNNING' then j.status = 'doing'
                           else j.status = 'failed' end)
   and (%(chore)s::text is null or j.task_name = %(chore)s)
   and (%(id)s::bigint is null or j.id = %(id)s)
   and (%(after)s::bigint is null or j.id < %(after)s)
 order by j.id desc
 limit %(limit)s;

-- name: counts
select task_name as chore,
       count(*) filter (where status = 'todo' and scheduled_at > clock_timestamp()) as scheduled,
       count(*) filter (where status = 'todo'
                          and coalesce(scheduled_at <= clock_timestamp(), true)) as waiting,
       count(*) filter (where status = 'doing') as running,
       count(*) filter (where status = 'failed') as failed
  from procrastinate_jobs
 where status in ('todo', 'doing', 'failed')
 group by task_name
 order by task_name;

-- name: history
select id, job, chore, args, attempt, state as status, server, started_at, ended_at, error, trace
  from chore_history
 where (%(chore)s::text is null or chore = %(chore)s)
   and (%(job)s::bigint is null or job = %(job)s)
   and (%(state)s::text is null or state = %(state)s)
   and (%(after)s::bigint is null or id < %(after)s)
 order by id desc
 limit %(limit)s;

-- name: run_now
update procrastinate_jobs
   set scheduled_at = null
 where id = %(job)s and status = 'todo'
returning id;

-- name: retry
-- With all its attempts again.
update procrastinate_jobs
   set status = 'todo', attempts = 0, scheduled_at = null, worker_id = null
 where id = %(job)s and status = 'failed'
returning id;

-- name: failed
select id
  from procrastinate_jobs
 where status = 'failed' and task_name = %(chore)s
 order by id
 limit %(limit)s
   for update skip locked;

-- name: delete
with gone as (
    delete from procrastinate_jobs
     where id = %(job)s and status in ('todo', 'failed')
    returning id, task_name, args, attempts
)
insert into chore_history (job, chore, args, attempt, state, server, error)
select id, task_name, args, attempts, 'DELETED', 'api', %(by)s from gone
returning job;

-- name: wake
select pg_notify('procrastinate_any_queue_v1', '{"type": "job_inserted", "job_id": 0}');
