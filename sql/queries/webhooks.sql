-- name: put
-- A new one, or another content of one that is there.
insert into webhooks (name, spec, created_by)
values (%(name)s, %(spec)s, %(by)s)
on conflict (name) do update
   set spec = excluded.spec, version = webhooks.version + 1, previous_until = null,
       updated_at = clock_timestamp()
returning id, version;

-- name: get
select id, name, spec, version, previous_until, created_at, created_by, updated_at
  from webhooks
 where name = %(name)s;

-- name: lock
select id, name, spec, version, previous_until, created_at, created_by, updated_at
  from webhooks
 where name = %(name)s
   for no key update;

-- name: page
select id, name, spec, version, previous_until, created_at, created_by, updated_at
  from webhooks
 where name > %(after)s
 order by name
 limit %(limit)s;

-- name: rotate
update webhooks
   set spec = %(spec)s, version = version + 1, updated_at = clock_timestamp(),
       previous_until = clock_timestamp() + %(overlap)s::interval
 where id = %(id)s;

-- name: delete
delete from webhooks where name = %(name)s;

-- name: keys
-- The keys that count now, with what is needed to decrypt them, and the time.
select w.spec, s.id, s.name, c.version, c.key_id, c.sealed,
       extract(epoch from clock_timestamp())::float8 as now
  from webhooks w
  left join secrets s
    on s.name = w.spec ->> 'secret'
    or (s.name = w.spec ->> 'previous'
        and (w.previous_until is null or w.previous_until > clock_timestamp()))
  left join secret_cells c on c.secret_id = s.id
 where w.name = %(name)s;
