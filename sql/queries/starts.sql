-- Statements of starts that are committed together.

-- name: versions
-- What each wish means: the version that it names, or the newest. Of what is missing or retired
-- there is no row.
select wish.type, wish.version as asked, v.version
  from unnest(%(types)s::text[], %(versions)s::integer[]) as wish (type, version)
  join process_types t on t.name = wish.type and t.retired_at is null
  join process_type_versions v on v.type = t.name and v.version = coalesce(wish.version, t.latest);

-- name: remember
-- One run for each key, also within the batch. In the order of keys: two batches that know the
-- same keys never wait for each other.
insert into idempotency_keys (key, digest, run_id)
select key, digest, run
  from unnest(%(keys)s::text[], %(digests)s::text[], %(runs)s::uuid[])
       with ordinality as wish (key, digest, run, place)
 order by key, place
on conflict (key) do nothing
returning run_id;

-- name: remembered
select key, digest, run_id from idempotency_keys where key = any(%(keys)s);

-- name: patience
-- One key that somebody else has in hand must not keep the others of a batch for long.
set local lock_timeout = '300ms';

-- name: rows
select id, type, type_version, record_id, round, state::text as state, priority, input, output,
       error, labels, total, open, failed, events, triggered_by, created_at, started_at,
       finished_at, due_at, parent_run, parent_task, depth, compensated, forked_from
  from runs
 where id = any(%(ids)s);
