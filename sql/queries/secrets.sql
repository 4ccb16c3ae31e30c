-- name: create
-- No row where the name is taken: `lock` it then.
insert into secrets (name, note, grants, created_by, changed_by)
values (%(name)s, coalesce(%(note)s, ''), coalesce(%(grants)s::text[], '{}'), %(by)s, %(by)s)
on conflict (name) do nothing
returning id, version;

-- name: lock
select id, version from secrets where name = %(name)s for update;

-- name: put
-- The value that counts from now on. The caller has made or locked the secret.
with cell as (
    insert into secret_cells (secret_id, version, key_id, sealed)
    values (%(id)s, %(version)s, %(key)s, %(sealed)s)
    on conflict (secret_id) do update
       set version = excluded.version, key_id = excluded.key_id, sealed = excluded.sealed
)
update secrets
   set version = %(version)s, fingerprint = %(fingerprint)s, changed_at = clock_timestamp(),
       changed_by = %(by)s, note = coalesce(%(note)s, note),
       grants = coalesce(%(grants)s::text[], grants)
 where id = %(id)s;

-- name: change
update secrets
   set note = coalesce(%(note)s, note), grants = coalesce(%(grants)s::text[], grants),
       changed_at = clock_timestamp(), changed_by = %(by)s
 where name = %(name)s
returning id;

-- name: get
select s.id, s.name, s.note, s.grants, s.version, s.fingerprint, c.key_id, s.created_at,
       s.created_by, s.changed_at, s.changed_by, s.last_used_at
  from secrets s
  join secret_cells c on c.secret_id = s.id
 where s.name = %(name)s;

-- name: page
-- In the order of names.
select s.id, s.name, s.note, s.grants, s.version, s.fingerprint, c.key_id, s.created_at,
       s.created_by, s.changed_at, s.changed_by, s.last_used_at
  from secrets s
  join secret_cells c on c.secret_id = s.id
 where s.name > %(after)s
   and (%(text)s::text is null
        or strpos(s.name, lower(%(text)s)) > 0 or strpos(lower(s.note), lower(%(text)s)) > 0)
   and (%(type)s::text is null or %(type)s = any(s.grants) or '*' = any(s.grants))
 order by s.name
 limit %(limit)s;

-- name: places
-- Whose definitions or settings name it: types in their newest version, and webhooks.
select 'type' as kind, t.name
  from (select * from process_types where retired_at is null order by name limit %(most)s) as t
  join process_type_versions v on v.type = t.name and v.version = t.latest
 cross join lateral (select v.document::text as text) as d
 where strpos(d.text, '"' || %(name)s || '"') > 0
    or strpos(d.text, e'\x27' || %(name)s || e'\x27') > 0
    or strpos(d.text, '\"' || %(name)s || '\"') > 0
union all
select 'webhook', w.name
  from webhooks w
 where strpos(w.spec::text, '"' || %(name)s || '"') > 0
 order by kind, name
 limit %(limit)s;

-- name: delete
delete from secrets where name = %(name)s returning id;

-- name: asked
-- What runs ask for, with what is needed to decide and to decrypt; a row for each, in order.
select a.run_id, a.name, r.type, s.id, s.grants, c.version, c.key_id, c.sealed
  from unnest(%(runs)s::uuid[], %(names)s::text[]) with ordinality as a (run_id, name, number)
  left join runs r on r.id = a.run_id
  left join secrets s on s.name = a.name
  left join secret_cells c on c.secret_id = s.id
 order by a.number;

-- name: used
-- At most once a minute for each: this is for people to look at, so nobody waits for it.
update secrets
   set last_used_at = clock_timestamp()
 where id = any(array(
        select id
          from secrets
         where id = any(%(ids)s::bigint[])
           and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')
         order by id
           for no key update skip locked
       ));

-- name: of_other_keys
-- Some that the current key did not encrypt. Whoever else does this takes others.
select s.id, s.name, c.version, c.key_id, c.sealed
  from secret_cells c
  join secrets s on s.id = c.secret_id
 where c.key_id <> %(key)s
 order by s.id
 limit %(limit)s
   for update of s, c skip locked;

-- name: reseal
update secret_cells c
   set key_id = %(key)s, sealed = u.sealed
  from unnest(%(ids)s::bigint[], %(sealed)s::bytea[]) as u (id, sealed)
 where c.secret_id = u.id;

-- name: mark
update secrets s
   set fingerprint = u.fingerprint
  from unnest(%(ids)s::bigint[], %(fingerprints)s::text[]) as u (id, fingerprint)
 where s.id = u.id;

-- name: keys
-- How many secrets each key encrypts, with what signs for workstations; keys that were seen once and
-- encrypt nothing too.
select k.id, count(c.key_id) as secrets
  from (select id from secret_keys union select key_id from secret_cells) as k
  left join (
    select key_id from secret_cells
    union all
    select key_id from workstation_signing
  ) as c on c.key_id = k.id
 group by k.id
 order by k.id;

-- name: see_key
insert into secret_keys (id) values (%(key)s) on conflict (id) do nothing;
