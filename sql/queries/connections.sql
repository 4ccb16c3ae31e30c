-- name: types
-- Those that are not there have no number.
select name, to_regtype(name)::oid as oid, to_regtype(name || '[]')::oid as array_oid
  from unnest(%(names)s::text[]) as name;
