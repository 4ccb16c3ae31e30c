-- name: create
insert into process_records (id, type, description, input, vars, priority, created_by)
values (%(id)s, %(type)s, %(description)s, %(input)s, %(vars)s, %(priority)s, %(by)s)
on conflict do nothing
returning id;

-- name: get
-- A record shows the state of its latest run.
select p.id, p.type, p.description, p.input, p.vars, p.priority, p.current_run, p.version,
       coalesce(r.state::text, 'PENDING') as current_status,
       coalesce(r.total - r.open, 0) as current_task_index,
       coalesce(r.total, (
        select count(*)
          from process_types t
          join process_type_tasks k on k.type = t.name and k.version = t.latest
         where t.name = p.type
       )) as total_tasks,
       r.started_at as started_when,
       case when r.state = 'COMPLETED' then r.finished_at end as completed_when,
       case when r.state = 'FAILED' then r.finished_at end as failed_when,
       case when r.state = 'STOPPED' then r.finished_at end as stopped_when,
       r.error as last_error_message, r.triggered_by, p.created_at, p.updated_at
  from process_records p
  left join runs r on r.id = p.current_run
 where p.id = %(id)s;

-- name: page
select p.id, p.type, p.description, p.input, p.vars, p.priority, p.current_run, p.version,
       coalesce(r.state::text, 'PENDING') as current_status,
       coalesce(r.total - r.open, 0) as current_task_index,
       coalesce(r.total, (
        select count(*)
          from process_types t
          join process_type_tasks k on k.type = t.name and k.version = t.latest
         where t.name = p.type
       )) as total_tasks,
       r.started_at as started_when,
       case when r.state = 'COMPLETED' then r.finished_at end as completed_when,
       case when r.state = 'FAILED' then r.finished_at end as failed_when,
       case when r.state = 'STOPPED' then r.finished_at end as stopped_when,
       r.error as last_error_message, r.triggered_by, p.created_at, p.updated_at
  from process_records p
  left join runs r on r.id = p.current_run
 where (%(after)s::text is null or p.id > %(after)s)
   and (%(type)s::text is null or p.type = %(type)s)
   and (%(statuses)s::text[] is null
        or coalesce(r.state::text, 'PENDING') = any(%(statuses)s))
   and (%(text)s::text is null or strpos(lower(p.id), lower(%(text)s)) > 0
        or strpos(lower(p.description), lower(%(text)s)) > 0)
 order by p.id
 limit %(limit)s;

-- name: count
-- How many pass the filters of `page`, as far as `most`.
select count(*) as records
  from (
    select
      from process_records p
      left join runs r on r.id = p.current_run
     where true
       and (%(type)s::text is null or p.type = %(type)s)
       and (%(statuses)s::text[] is null
            or coalesce(r.state::text, 'PENDING') = any(%(statuses)s))
       and (%(text)s::text is null or strpos(lower(p.id), lower(%(text)s)) > 0
            or strpos(lower(p.description), lower(%(text)s)) > 0)
     limit %(most)s
  ) as found;

-- name: lock
select id, type, description, input, vars, priority, current_run, version
  from process_records
 where id = %(id)s
   for update;

-- name: change
update process_records
   set type = %(type)s, description = %(description)s, input = %(input)s, vars = %(vars)s,
       priority = %(priority)s, version = version + 1, updated_at = clock_timestamp()
 where id = %(id)s;

-- name: point
-- Makes a run the one that the record shows.
update process_records
   set current_run = %(run)s, updated_at = clock_timestamp()
 where id = %(id)s;

-- name: delete
delete from process_records where id = %(id)s;
