-- What somebody typed, looked for among everything that has a name. Each of these reads a bounded
-- number of rows, whatever there is.

-- name: by_key
select k.key, r.id, r.type, r.record_id, r.state::text as state, r.created_at
  from idempotency_keys k
  join runs r on r.id = k.run_id
 where k.key = %(key)s;

-- name: runs
-- By ids that were found otherwise.
select id, type, record_id, state::text as state, created_at
  from runs
 where id = any(%(ids)s::uuid[])
 order by id desc;

-- name: types
-- A name that begins so comes before one that has it in its middle.
select name, retired_at
  from process_types
 where strpos(lower(name), lower(%(text)s)) > 0
 order by strpos(lower(name), lower(%(text)s)) > 1, name
 limit %(limit)s;

-- name: records
-- Among the first `most` of them in the order of their ids.
select p.id, p.type, p.description, r.state::text as state
  from (
    select id, type, description, current_run
      from (select * from process_records order by id limit %(most)s) as few
     where strpos(lower(id), lower(%(text)s)) > 0 or strpos(lower(description), lower(%(text)s)) > 0
     order by strpos(lower(id), lower(%(text)s)) <> 1, id
     limit %(limit)s
  ) as p
  left join runs r on r.id = p.current_run
 order by strpos(lower(p.id), lower(%(text)s)) <> 1, p.id;

-- name: schedules
select id, name, type, record_id, paused_at, next_tick
  from (select * from schedules order by id limit %(most)s) as few
 where strpos(lower(name || ' ' || coalesce(type, record_id)), lower(%(text)s)) > 0
 order by id
 limit %(limit)s;

-- name: events
-- Among the newest alone: by type, key or id.
select id, type, key, source, event_id, received_at
  from (
    select id, type, key, source, event_id, received_at from events order by id desc limit %(most)s
  ) as few
 where key = %(text)s or event_id = %(text)s or strpos(lower(type), lower(%(text)s)) > 0
 order by id desc
 limit %(limit)s;

-- name: labelled
-- Runs that carry a label; looked up by its index.
select id, type, record_id, state::text as state, created_at
  from runs
 where labels @> %(labels)s::jsonb and labels <> '{}'
 order by id desc
 limit %(limit)s;
