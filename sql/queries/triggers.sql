-- name: create
insert into triggers (name, type, record_id, spec, declared, origin, patterns, remembers, created_by)
values (
    %(name)s, %(type)s, %(record)s, %(spec)s, %(declared)s, %(origin)s, %(patterns)s, %(remembers)s,
    %(by)s
)
on conflict do nothing
returning id;

-- name: get
select id, name, type, record_id, spec, origin, version, paused_at, paused_by, note, created_at,
       created_by, updated_at, spec is distinct from declared as edited
  from triggers
 where id = %(id)s;

-- name: page
select id, name, type, record_id, spec, origin, version, paused_at, paused_by, note, created_at,
       created_by, updated_at, spec is distinct from declared as edited
  from triggers
 where id > coalesce(%(after)s::bigint, 0)
   and (%(type)s::text is null or type = %(type)s)
   and (%(record)s::text is null or record_id = %(record)s)
   and (%(paused)s::boolean is null or (paused_at is not null) = %(paused)s)
 order by id
 limit %(limit)s;

-- name: lock
-- Whoever changes a trigger does this first.
select id, name, type, record_id, spec, origin, version, paused_at
  from triggers
 where id = %(id)s
   for no key update;

-- name: lock_all
-- Those of one type, in the order of ids.
select id, name, type, record_id, spec, declared, origin
  from triggers
 where type = %(type)s
 order by id
   for no key update;

-- name: change
update triggers
   set name = %(name)s, spec = %(spec)s, declared = coalesce(%(declared)s, declared),
       patterns = %(patterns)s, remembers = %(remembers)s, version = version + 1,
       updated_at = clock_timestamp()
 where id = %(id)s;

-- name: delete
delete from triggers where id = %(id)s;

-- name: pause
update triggers
   set paused_at = clock_timestamp(), paused_by = %(by)s, note = %(note)s,
       updated_at = clock_timestamp()
 where id = %(id)s;

-- name: resume
update triggers
   set paused_at = null, paused_by = null, note = null, updated_at = clock_timestamp()
 where id = %(id)s and paused_at is not null;

-- name: all_patterns
select id, patterns from triggers order by id;

-- name: lock_remembering
-- Those whose next decision depends on the one before, in the order of ids: whoever decides waits
-- for whoever decides now.
select id, name, type, record_id, spec, created_at, paused_at, paused_by
  from triggers
 where id = any(%(ids)s) and remembers
 order by id
   for no key update;

-- name: keep
-- The others may decide at the same time; only that nobody deletes them.
select id, name, type, record_id, spec, created_at, paused_at, paused_by
  from triggers
 where id = any(%(ids)s) and not remembers
 order by id
   for key share;

-- name: lock_due
-- Those with starts that are due, but for those that another server looks at.
select t.id, t.name, t.type, t.record_id, t.spec, t.created_at, t.paused_at, t.paused_by
  from triggers t
 where t.id = any(array(
        select trigger_id
          from (
            select p.trigger_id, p.due_at
              from pending_starts p
              join triggers of on of.id = p.trigger_id and of.paused_at is null
             where p.due_at <= (select clock_timestamp())
             order by p.due_at
             limit %(limit)s
          ) as due
       ))
   and t.paused_at is null
 order by t.id
   for no key update skip locked;
