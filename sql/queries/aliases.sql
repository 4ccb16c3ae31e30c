-- name: annotate
-- What the earlier systems keep with a record beside its input; null leaves it as it is.
update process_records
   set input_text = coalesce(%(input_text)s, input_text),
       schedule = coalesce(%(schedule)s, schedule)
 where id = %(id)s;

-- name: records
-- Records with what they show there, in the order of their ids; null stands for no filter.
select p.id, p.type, p.input, p.input_text, p.schedule, p.current_run,
       coalesce(r.state, 'PENDING')::text as state,
       coalesce(r.total - r.open, 0) as current_task_index,
       coalesce(r.total, (
        select count(*)
          from process_types t
          join process_type_tasks k on k.type = t.name and k.version = t.latest
         where t.name = p.type
       )) as total_tasks,
       r.started_at, r.finished_at, r.error, r.triggered_by, p.created_at, p.updated_at
  from process_records p
  left join runs r on r.id = p.current_run
 where (%(after)s::text is null or p.id > %(after)s)
   and (%(id)s::text is null or p.id = %(id)s)
   and (%(type)s::text is null or p.type = %(type)s)
   and (%(states)s::text[] is null or coalesce(r.state, 'PENDING')::text = any(%(states)s))
 order by p.id
 limit %(limit)s;

-- name: tasks
-- The tasks of the runs that records show, with the beginning of what their latest attempts
-- printed.
select p.id as record, t.id, t.run_id, r.type, r.type_version, t.position, t.name,
       t.state::text as state, t.counted, t.invocation, t.exit_code, t.output, t.error,
       t.started_at, t.finished_at, substr(printed.data, 1, %(bytes)s) as printed
  from process_records p
  join runs r on r.id = p.current_run
  join tasks t on t.run_id = r.id
  left join lateral (
    select string_agg(c.data, ''::bytea order by c.start) as data
      from (
        select data, start
          from output_chunks
         where task_id = t.id and attempt = t.attempt
         order by start
         limit 4
      ) c
  ) printed on true
 where p.id = any(%(records)s::text[])
   and t.role = 'task' and t.name not like 'hook:%%' -- those that the definition lists
   and (%(position)s::integer is null or t.position = %(position)s)
 order by p.id, t.position;

-- name: results
-- What the tasks of runs came to, in the order of the definition. The labels of a chain's tasks say
-- which step each is; chains of earlier versions have it in what is to be carried out.
select t.id, t.run_id, t.state::text as state,
       case when t.queue like 'action:%%' then substr(t.queue, 8) end as action,
       coalesce(
           (t.invocation ->> 'step_index')::integer,
           case when l.step_index ~ '^[0-9]{1,7}$' then l.step_index::integer end,
           t.position
       ) as step_index,
       t.output, t.error, t.finished_at
  from tasks t
  join runs r on r.id = t.run_id
  join process_type_versions v on v.type = r.type and v.version = r.type_version
  cross join lateral (
    select v.document -> 'tasks' -> t.position -> 'labels' ->> 'step_index' as step_index
  ) l
 where t.run_id = any(%(runs)s::uuid[]) and t.role = 'task'
 order by t.run_id, t.position;

-- name: statistics
select count(*) as total,
       count(*) filter (where r.state = 'COMPLETED') as completed,
       count(*) filter (
           where r.state in ('IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING', 'COMPENSATING')
       ) as in_progress,
       count(*) filter (where r.state = 'FAILED') as failed
  from process_records p
  left join runs r on r.id = p.current_run;

-- name: load
-- What an earlier system measured in its own stores, measured in ours.
select (select count(*) from runs
         where state in ('PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING', 'COMPENSATING')
       ) as active,
       (select count(*) from tasks where state = 'WAITING' and reason = 'backoff') as retries,
       (select count(*) from tasks where state = 'READY') as queued,
       (select numbackends from pg_stat_database where datname = current_database()) as clients,
       pg_size_pretty(pg_database_size(current_database())) as size;
