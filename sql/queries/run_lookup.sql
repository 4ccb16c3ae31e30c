-- name: by_prefix
select id from runs where id between %(low)s and %(high)s order by id desc limit 2;

-- name: by_suffix
-- Among the newest alone: nobody reads out the end of an old id, and the scan stays short.
select id
  from (select id from runs order by id desc limit 100000) as newest
 where right(id::text, %(length)s::integer) = %(suffix)s
 limit 2;
