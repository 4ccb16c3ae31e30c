-- name: create
insert into tokens (name, prefix, digest, role, expires_at, scopes, created_by, user_id)
values (
    %(name)s, %(prefix)s, %(digest)s, %(role)s, %(expires_at)s, %(scopes)s::text[], %(by)s,
    %(user)s
)
returning id;

-- name: find
-- A user's token may do no more than its user, and nothing when that one is disabled. `fresh` if its
-- use was noted within the last minute: this is for people to look at.
select t.id, t.name, least(t.role, coalesce(u.role, t.role))::text as role, t.scopes, t.digest,
       t.user_id, u.name as user_name,
       coalesce(t.last_used_at > clock_timestamp() - interval '1 minute', false) as fresh
  from tokens t
  left join users u on u.id = t.user_id
 where t.digest = any(%(digests)s::bytea[]) and t.revoked_at is null
   and (t.expires_at is null or t.expires_at > clock_timestamp())
   and u.disabled_at is null;

-- name: has_admin
-- Somebody who may do all, or who may sign in to do so.
select exists (
    select from tokens t left join users u on u.id = t.user_id
     where t.role = 'admin' and t.revoked_at is null
       and (t.expires_at is null or t.expires_at > clock_timestamp())
       and u.disabled_at is null and coalesce(u.role, 'admin') = 'admin'
) or exists (
    select from users where role = 'admin' and disabled_at is null and password_set_at is not null
) as found;

-- name: used
-- Passes over what others note at the moment: nobody waits for this.
update tokens
   set last_used_at = clock_timestamp()
 where id = any(array(
         select id from tokens where id = any(%(ids)s) order by id for no key update skip locked
       ))
   and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute');

-- name: get
-- `user` and `token` are whose tokens may be seen, null for all.
select t.id, t.name, t.prefix, t.role::text as role, t.scopes, t.created_at, t.created_by,
       t.expires_at, t.revoked_at, t.last_used_at, u.name as user
  from tokens t
  left join users u on u.id = t.user_id
 where t.id = %(id)s
   and (%(of_all)s or t.user_id = %(user)s or t.id = %(token)s);

-- name: chosen
-- These tokens as far as they may be seen.
select t.id, t.name, t.prefix, t.role::text as role, t.scopes, t.created_at, t.created_by,
       t.expires_at, t.revoked_at, t.last_used_at, u.name as user
  from tokens t
  left join users u on u.id = t.user_id
 where t.id = any(%(ids)s::bigint[])
   and (%(of_all)s or t.user_id = %(user)s or t.id = %(token)s)
 order by t.id desc;

-- name: page
-- The newest first.
select t.id, t.name, t.prefix, t.role::text as role, t.scopes, t.created_at, t.created_by,
       t.expires_at, t.revoked_at, t.last_used_at, u.name as user
  from tokens t
  left join users u on u.id = t.user_id
 where (%(of_all)s or t.user_id = %(user)s or t.id = %(token)s)
   and (%(name)s::text is null or u.name = %(name)s)
   and (%(role)s::role is null or t.role = %(role)s)
   and (%(text)s::text is null or strpos(lower(t.name), lower(%(text)s)) > 0)
   and (%(state)s::text is null or %(state)s = case
           when t.revoked_at is not null then 'REVOKED'
           when t.expires_at <= clock_timestamp() then 'EXPIRED'
           else 'VALID' end)
   and t.id < coalesce(%(after)s, 9223372036854775807)
 order by t.id desc
 limit %(limit)s;

-- name: revoke
update tokens set revoked_at = clock_timestamp() where id = %(id)s and revoked_at is null;

-- name: revoke_digest
update tokens set revoked_at = clock_timestamp() where digest = %(digest)s and revoked_at is null;

-- name: revoke_of_user
update tokens set revoked_at = clock_timestamp() where user_id = %(user)s and revoked_at is null;

-- name: has_other_admin
-- Somebody who can still make tokens when this one, or this user, is gone; only who may do all
-- counts, and whose time does not run out.
select exists (
    select from tokens t left join users u on u.id = t.user_id
     where t.role = 'admin' and t.scopes is null and t.revoked_at is null
       and t.expires_at is null and u.disabled_at is null
       and coalesce(u.role, 'admin') = 'admin'
       and t.id is distinct from %(token)s
       and (%(user)s::bigint is null or t.user_id is distinct from %(user)s)
) or exists (
    select from users
     where role = 'admin' and disabled_at is null and password_set_at is not null
       and id is distinct from %(user)s
) as found;
