-- name: create
-- No row if the name is taken.
insert into users (name, display_name, email, role, created_by)
values (%(name)s, %(display_name)s, %(email)s, %(role)s, %(by)s)
    on conflict (name) do nothing
returning id;

-- name: get
select id, name, display_name, email, role::text as role, disabled_at, password_set_at,
       last_login_at, created_at, created_by
  from users
 where name = %(name)s;

-- name: lock
select id, name, display_name, email, role::text as role, disabled_at
  from users
 where name = %(name)s
   for update;

-- name: page
-- In the order of names; `only` is the one user that may be seen, null for all.
select id, name, display_name, email, role::text as role, disabled_at, password_set_at,
       last_login_at, created_at, created_by
  from users
 where (%(after)s::text is null or name > %(after)s)
   and (%(only)s::bigint is null or id = %(only)s)
   and (%(role)s::role is null or role = %(role)s)
   and (%(disabled)s::boolean is null or (disabled_at is not null) = %(disabled)s)
   and (%(text)s::text is null or strpos(name, lower(%(text)s)) > 0
        or strpos(lower(display_name), lower(%(text)s)) > 0
        or strpos(lower(coalesce(email, '')), lower(%(text)s)) > 0)
 order by name
 limit %(limit)s;

-- name: change
update users
   set display_name = %(display_name)s,
       email = %(email)s,
       role = %(role)s,
       disabled_at = case when %(disabled)s then coalesce(disabled_at, clock_timestamp()) end
 where id = %(id)s;

-- name: delete
-- Passwords, links, sessions and tokens go with it.
delete from users where id = %(id)s;

-- name: password
-- Of somebody who may sign in.
select u.id, u.name, u.role::text as role, p.hash
  from users u
  join passwords p on p.user_id = u.id
 where u.name = %(name)s and u.disabled_at is null;

-- name: set_password
insert into passwords (user_id, hash)
values (%(id)s, %(hash)s)
    on conflict (user_id) do update set hash = excluded.hash;

-- name: note_password
update users set password_set_at = clock_timestamp() where id = %(id)s;

-- name: note_login
update users set last_login_at = clock_timestamp() where id = %(id)s;

-- name: link
-- The link before, if there is one, is of no use from now on.
insert into password_links (user_id, digest, expires_at, created_by)
values (%(id)s, %(digest)s, %(expires_at)s, %(by)s)
    on conflict (user_id) do update
    set digest = excluded.digest, expires_at = excluded.expires_at,
        created_by = excluded.created_by;

-- name: linked
-- Whose password this link may set.
select u.id, u.name
  from password_links l
  join users u on u.id = l.user_id
 where l.digest = %(digest)s and l.expires_at > clock_timestamp() and u.disabled_at is null;

-- name: spend_link
-- One of those who come with the same link gets a row.
delete from password_links
 where user_id = %(id)s and digest = %(digest)s
returning user_id;

-- name: drop_links
delete from password_links where user_id = %(id)s;
