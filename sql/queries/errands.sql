-- name: add
insert into errands (run_id, task_id, kind, data, by)
select run_id, task_id, kind, data, %(by)s
  from unnest(
    %(runs)s::uuid[], %(tasks)s::bigint[], %(kinds)s::text[], %(data)s::jsonb[]
  ) as e (run_id, task_id, kind, data)
 where exists (select from runs where id = e.run_id);

-- name: tell_children
-- What a parent's tasks ask of the runs they started, without locking any of them.
insert into errands (run_id, kind, by)
select c.id, w.kind, 'its parent ' || c.parent_run
  from unnest(%(runs)s::uuid[], %(tasks)s::bigint[], %(kinds)s::text[]) as w (run_id, task_id, kind)
  join runs c on c.parent_run = w.run_id and c.parent_task = w.task_id
 where c.finished_at is null;

-- name: runs
-- The runs that something is asked of, the longest waiting first.
select run_id
  from (select id, run_id from errands order by id limit %(limit)s) as e
 group by run_id
 order by min(id);

-- name: take
-- What is asked of runs that the caller has locked, in the order in which it was asked.
with gone as (
    delete from errands where run_id = any(%(runs)s)
    returning id, run_id, task_id, kind, data, by
)
select run_id, task_id, kind, data, by from gone order by id;

-- name: latest_child
-- The run that a task started last: the ends of those before it are no news any more.
select id
  from runs
 where parent_run = %(run)s and parent_task = %(task)s
 order by created_at desc, id desc
 limit 1;
