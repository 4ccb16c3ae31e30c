-- name: lock
select name, latest from process_types where name = %(name)s for update;

-- name: create
insert into process_types (name, latest) values (%(name)s, 1) on conflict do nothing returning name;

-- name: advance
update process_types set latest = %(version)s, retired_at = null where name = %(name)s;

-- name: publish
insert into process_type_versions (type, version, digest, document, published_by)
values (%(type)s, %(version)s, %(digest)s, %(document)s, %(by)s);

-- name: add_tasks
insert into process_type_tasks (
    type, version, position, name, kind, queue, priority, required, open, successors, handler,
    settles, judged, on_lost, invocation
)
select %(type)s, %(version)s, position, name, kind, queue, priority, required, open,
       array(select jsonb_array_elements_text(successors)::integer), handler, settles, judged,
       on_lost, invocation
  from jsonb_to_recordset(%(tasks)s::jsonb) as k (
    position integer, name text, kind text, queue text, priority smallint, required integer,
    open integer, successors jsonb, handler integer, settles boolean, judged boolean,
    on_lost text, invocation jsonb
  );

-- name: digest
select digest from process_type_versions where type = %(type)s and version = %(version)s;

-- name: version_with
-- The newest version of this content. Reads all versions of the type: for types of many versions
-- that are short.
select max(version) from process_type_versions where type = %(type)s and digest = %(digest)s;

-- name: get
select v.type as name, v.version, v.digest, v.document, v.published_at, v.published_by,
       t.latest, t.retired_at
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

-- name: versions
select v.type as name, v.version, v.digest, v.document, v.published_at, v.published_by,
       t.latest, t.retired_at
  from process_types t
  join process_type_versions v on v.type = t.name
 where t.name = %(name)s
 order by v.version desc;
