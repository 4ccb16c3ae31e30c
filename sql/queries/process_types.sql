-- name: lock
select name, latest, retired_at, retired_by, retired_note
  from process_types
 where name = %(name)s
   for update;

-- name: create
insert into process_types (name, latest) values (%(name)s, 1) on conflict do nothing returning name;

-- name: advance
update process_types set latest = %(version)s where name = %(name)s;

-- name: retire
-- Its caller has locked it.
update process_types
   set retired_at = clock_timestamp(), retired_by = %(by)s, retired_note = %(note)s
 where name = %(name)s;

-- name: reinstate
update process_types
   set retired_at = null, retired_by = null, retired_note = null
 where name = %(name)s;

-- name: publish
insert into process_type_versions (type, version, digest, document, published_by)
values (%(type)s, %(version)s, %(digest)s, %(document)s, %(by)s);

-- name: add_tasks
insert into process_type_tasks (
    type, version, position, name, kind, queue, priority, required, open, successors, handler,
    settles, judged, on_lost, invocation, placement
)
select %(type)s, %(version)s, position, name, kind, queue, priority, required, open,
       array(select jsonb_array_elements_text(successors)::integer), handler, settles, judged,
       on_lost, invocation, placement
  from jsonb_to_recordset(%(tasks)s::jsonb) as k (
    position integer, name text, kind text, queue text, priority smallint, required integer,
    open integer, successors jsonb, handler integer, settles boolean, judged boolean,
    on_lost text, invocation jsonb, placement jsonb
  );

-- name: digest
select digest from process_type_versions where type = %(type)s and version = %(version)s;

-- name: digests
-- What the newest versions of these types are; of none that was retired.
select t.name, v.digest
  from process_types t
  join process_type_versions v on v.type = t.name and v.version = t.latest
 where t.name = any(%(names)s) and t.retired_at is null;

-- name: version_with
-- The newest version of this content. Reads all versions of the type: for types of many versions
-- that are short.
select max(version) from process_type_versions where type = %(type)s and digest = %(digest)s;

-- name: get
select v.type as name, v.version, v.digest, v.document, v.published_at, v.published_by,
       t.latest, t.retired_at, t.retired_by, t.retired_note
  from process_types t
  join process_type_versions v on v.type = t.name
 where t.name = %(name)s and v.version = coalesce(%(version)s, t.latest);

-- name: all
select v.type as name, v.version, v.digest, v.document, v.published_at, v.published_by,
       t.latest, t.retired_at
  from process_types t
  join process_type_versions v on v.type = t.name and v.version = t.latest
 where t.retired_at is null
 order by t.name;

-- name: page
-- In the order of names, each in its newest version, without what makes a document long.
select t.name, v.version, coalesce(v.document ->> 'description', '') as description,
       jsonb_path_query_array(v.document, '$.tasks[*].name') as tasks,
       v.published_at, v.published_by, t.retired_at
  from process_types t
  join process_type_versions v on v.type = t.name and v.version = t.latest
 where (%(after)s::text is null or t.name > %(after)s)
   and (%(retired)s::boolean is null or (t.retired_at is not null) = %(retired)s)
   and (%(text)s::text is null
        or strpos(lower(t.name), lower(%(text)s)) > 0
        or strpos(lower(v.document ->> 'description'), lower(%(text)s)) > 0)
 order by t.name
 limit %(limit)s;

-- name: count
-- How many pass the filters of `page`, as far as `most`.
select count(*) as types
  from (
    select
      from process_types t
      join process_type_versions v on v.type = t.name and v.version = t.latest
     where (%(retired)s::boolean is null or (t.retired_at is not null) = %(retired)s)
       and (%(text)s::text is null
            or strpos(lower(t.name), lower(%(text)s)) > 0
            or strpos(lower(v.document ->> 'description'), lower(%(text)s)) > 0)
     limit %(most)s
  ) as found;

-- name: versions
-- The newest first, below a version.
select v.type as name, v.version, v.digest, v.document, v.published_at, v.published_by,
       t.latest, t.retired_at, t.retired_by, t.retired_note
  from process_types t
  join process_type_versions v on v.type = t.name
 where t.name = %(name)s and v.version < coalesce(%(below)s, 2147483647)
 order by v.version desc
 limit %(limit)s;
