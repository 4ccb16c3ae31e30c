-- What the screens of processes show beside what the API does. Each has a bound, whatever the
-- number of runs.

-- name: types
-- In the order of names, each in its newest version, without what makes a document long.
select t.name, v.version, coalesce(v.document ->> 'description', '') as description,
       coalesce(v.document -> 'labels', '{}') as labels,
       jsonb_array_length(v.document -> 'tasks') as tasks,
       v.published_at, v.published_by, t.retired_at
  from process_types t
  join process_type_versions v on v.type = t.name and v.version = t.latest
 where (%(after)s::text is null or t.name > %(after)s)
   and (%(retired)s::boolean is null or (t.retired_at is not null) = %(retired)s)
   and (%(labels)s::jsonb is null or v.document -> 'labels' @> %(labels)s)
   and (%(text)s::text is null
        or strpos(lower(t.name), lower(%(text)s)) > 0
        or strpos(lower(v.document ->> 'description'), lower(%(text)s)) > 0)
 order by t.name
 limit %(limit)s;

-- name: count_types
-- How many pass the filters of `types`, as far as `most`.
select count(*) as types
  from (
    select
      from process_types t
      join process_type_versions v on v.type = t.name and v.version = t.latest
     where (%(retired)s::boolean is null or (t.retired_at is not null) = %(retired)s)
       and (%(labels)s::jsonb is null or v.document -> 'labels' @> %(labels)s)
       and (%(text)s::text is null
            or strpos(lower(t.name), lower(%(text)s)) > 0
            or strpos(lower(v.document ->> 'description'), lower(%(text)s)) > 0)
     limit %(most)s
  ) as found;

-- name: figures_of_types
-- Of the latest runs of each type: what became of them, the newest first, how long the good ones
-- took, and how long those of the newer half did against the older half.
select t.name, few.*
  from unnest(%(names)s::text[]) as t (name)
 cross join lateral (
    select array_agg(r.state order by r.place) as states,
           count(*) filter (where r.seconds is not null) as ended,
           count(*) filter (where r.is_good) as good,
           percentile_cont(array[0.5, 0.95]) within group (order by r.seconds)
               filter (where r.is_good) as seconds,
           percentile_cont(0.5) within group (order by r.seconds)
               filter (where r.is_good and r.place <= %(each)s::integer / 2) as newer,
           percentile_cont(0.5) within group (order by r.seconds)
               filter (where r.is_good and r.place > %(each)s::integer / 2) as older
      from (
        select state::text as state, state = 'COMPLETED' as is_good,
               row_number() over (order by id desc) as place,
               extract(epoch from finished_at - started_at)::float8 as seconds
          from runs
         where type = t.name
         order by id desc
         limit %(each)s::integer
      ) as r
 ) as few;

-- name: figures_of_records
select t.name, few.*
  from unnest(%(names)s::text[]) as t (name)
 cross join lateral (
    select array_agg(r.state order by r.place) as states,
           count(*) filter (where r.seconds is not null) as ended,
           count(*) filter (where r.is_good) as good,
           percentile_cont(array[0.5, 0.95]) within group (order by r.seconds)
               filter (where r.is_good) as seconds,
           percentile_cont(0.5) within group (order by r.seconds)
               filter (where r.is_good and r.place <= %(each)s::integer / 2) as newer,
           percentile_cont(0.5) within group (order by r.seconds)
               filter (where r.is_good and r.place > %(each)s::integer / 2) as older
      from (
        select state::text as state, state = 'COMPLETED' as is_good,
               row_number() over (order by id desc) as place,
               extract(epoch from finished_at - started_at)::float8 as seconds
          from runs
         where record_id = t.name
         order by id desc
         limit %(each)s::integer
      ) as r
 ) as few;

-- name: clocks_of_types
-- Of each type: how many schedules and triggers start it, and the schedule that is next to.
select t.name as of, c.schedules, c.paused, e.triggers, n.id, n.name, n.type, n.record_id, n.spec,
       n.next_at
  from unnest(%(names)s::text[]) as t (name)
 cross join lateral (
    select count(*) as schedules, count(*) filter (where paused_at is not null) as paused
      from schedules
     where type = t.name
 ) as c
 cross join lateral (select count(*) as triggers from triggers where type = t.name) as e
  left join lateral (
    select id, name, type, record_id, spec, next_at
      from schedules
     where type = t.name and paused_at is null and next_at is not null
     order by next_at
     limit 1
 ) as n on true;

-- name: clocks_of_records
select t.name as of, c.schedules, c.paused, e.triggers, n.id, n.name, n.type, n.record_id, n.spec,
       n.next_at
  from unnest(%(names)s::text[]) as t (name)
 cross join lateral (
    select count(*) as schedules, count(*) filter (where paused_at is not null) as paused
      from schedules
     where record_id = t.name
 ) as c
 cross join lateral (select count(*) as triggers from triggers where record_id = t.name) as e
  left join lateral (
    select id, name, type, record_id, spec, next_at
      from schedules
     where record_id = t.name and paused_at is null and next_at is not null
     order by next_at
     limit 1
 ) as n on true;

-- name: living_of_versions
-- Runs that go on, by the version that they began with; looked for among the newest `most` of
-- each state.
select few.type_version as version, count(*) as runs
  from unnest(array['PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING',
                    'COMPENSATING']::run_state[]) as s (state)
 cross join lateral (
    select type, type_version
      from runs
     where state = s.state
     order by id desc
     limit %(most)s
 ) as few
 where few.type = %(type)s
 group by few.type_version
 order by few.type_version;

-- name: revisions
-- The newest first, below a version, without their documents.
select version, digest, published_at, published_by
  from process_type_versions
 where type = %(type)s and version < coalesce(%(below)s, 2147483647)
 order by version desc
 limit %(limit)s;

-- name: cells
-- The first tasks of some runs.
select k.run_id, k.position, k.name, k.state, k.started_at, k.finished_at, k.attempt
  from unnest(%(runs)s::uuid[]) as r (id)
 cross join lateral (
    select run_id, position, name, state::text as state, started_at, finished_at, attempt
      from tasks
     where run_id = r.id and role <> 'item' and position < 1000000000
     order by position
     limit %(each)s
 ) as k;

-- name: inputs_of_type
-- The different inputs among the latest runs, with the newest run of each.
select (array_agg(few.id order by few.id desc))[1] as run,
       (array_agg(few.state order by few.id desc))[1] as state,
       (array_agg(few.record_id order by few.id desc))[1] as record_id,
       count(*) as runs, max(few.created_at) as last_at, few.input
  from (
    select id, state::text as state, record_id, created_at, input
      from runs
     where type = %(name)s
     order by id desc
     limit %(among)s
 ) as few
 group by few.input
 order by run desc
 limit %(limit)s;

-- name: inputs_of_record
select (array_agg(few.id order by few.id desc))[1] as run,
       (array_agg(few.state order by few.id desc))[1] as state,
       (array_agg(few.record_id order by few.id desc))[1] as record_id,
       count(*) as runs, max(few.created_at) as last_at, few.input
  from (
    select id, state::text as state, record_id, created_at, input
      from runs
     where record_id = %(name)s
     order by id desc
     limit %(among)s
 ) as few
 group by few.input
 order by run desc
 limit %(limit)s;

-- name: schedules
-- Of a type or of a record, in the order of their names, each with what its latest tick came to.
select s.id, s.name, s.type, s.record_id, s.spec, s.origin, s.paused_at, s.paused_until,
       s.paused_by, s.note, s.next_at, s.last_tick, l.outcome, l.run_id, l.reason
  from schedules s
  left join lateral (
    select k.state::text as outcome, k.run_id, k.reason
      from ticks k
     where k.schedule_id = s.id and k.tick = s.last_tick
     limit 1
 ) as l on true
 where s.type = %(type)s::text or s.record_id = %(record)s::text
 order by s.name
 limit %(limit)s;

-- name: queues
-- What stands in some queues, as far as `most`, and who serves them.
select n.name, q.paused_at, q.note, q.size,
       (select count(*)
          from (
            select from tasks where queue = n.name and state = 'READY' limit %(most)s
          ) as few) as ready,
       (select count(*)
          from holders h
         where h.state = 'ACTIVE' and n.name = any(h.queues)) as workers,
       (select coalesce(sum(h.slots), 0)
          from holders h
         where h.state = 'ACTIVE' and n.name = any(h.queues)) as slots,
       (select count(*)
          from tasks t
          join holders h on h.id = t.holder
         where h.state = 'ACTIVE' and n.name = any(h.queues)) as in_hand,
       array(
        select h.name
          from holders h
         where h.state = 'ACTIVE' and n.name = any(h.queues)
         order by h.name
         limit 8
       ) as names
  from unnest(%(names)s::text[]) as n (name)
  left join queues q on q.name = n.name;

-- name: places
-- How many places there are under some limits, and how many of them are taken.
select key, count(*) as size,
       count(*) filter (
           where task_id is not null or run_id is not null or free_at > clock_timestamp()
       ) as taken
  from limit_slots
 where key = any(%(keys)s::text[])
 group by key
 order by key;

-- name: waits
-- How long the latest runs of a type stood before anything of them began, in seconds.
select percentile_cont(array[0.5, 0.95]) within group (order by few.seconds) as seconds
  from (
    select extract(epoch from min(t.started_at) - r.created_at)::float8 as seconds
      from (
        select id, created_at from runs where type = %(type)s order by id desc limit %(among)s
      ) as r
     cross join lateral (
        select started_at
          from tasks
         where run_id = r.id and started_at is not null
         order by position
         limit 5
     ) as t
     group by r.id, r.created_at
  ) as few;

-- name: letter_groups
-- Open dead letters that are alike, among the newest `most`, the largest group first.
select fingerprint, type, task, min(error) as error, count(*) as letters,
       min(made_at) as first_at, max(made_at) as last_at
  from (
    select fingerprint, type, task, error, made_at
      from dead_letters
     where state = 'OPEN'
     order by id desc
     limit %(most)s
 ) as few
 group by fingerprint, type, task
 order by letters desc, fingerprint
 limit %(limit)s;

-- name: letters_of_groups
-- How many dead letters of each kind came up in each part of a time; among the newest `most` of a
-- kind.
select g.fingerprint,
       array(
        select count(few.part)
          from generate_series(0, %(parts)s::integer - 1) as p (number)
          left join (
            select floor(extract(epoch from l.made_at - %(since)s::timestamptz)
                         / extract(epoch from %(length)s::interval))::integer as part
              from (
                select made_at
                  from dead_letters
                 where fingerprint = g.fingerprint and state = 'OPEN'
                 order by id desc
                 limit %(most)s
              ) as l
          ) as few on few.part = p.number
         group by p.number
         order by p.number
       ) as counts
  from unnest(%(fingerprints)s::text[]) as g (fingerprint);

-- name: begun_in
-- The version in which an error of each kind that is open came up first.
select g.fingerprint, first.run_id, r.type_version as version
  from unnest(%(fingerprints)s::text[]) as g (fingerprint)
 cross join lateral (
    select run_id
      from dead_letters
     where fingerprint = g.fingerprint and state = 'OPEN'
     order by id
     limit 1
 ) as first
  join runs r on r.id = first.run_id;

-- name: held
-- Runs that somebody holds, the newest first, with who said so and when.
select r.id, r.type, r.record_id, r.state::text as state, r.created_at, r.total, r.open, h.at,
       coalesce(h.data ->> 'by', '') as by
  from (select * from runs where state = 'HELD' order by id desc limit %(limit)s) as r
  left join lateral (
    select at, data
      from history
     where run_id = r.id and kind = 'run.holding'
     order by seq desc
     limit 1
 ) as h on true
 order by r.id desc;
