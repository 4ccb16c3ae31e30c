-- name: create
insert into tokens (name, prefix, digest, role, expires_at, scopes, created_by)
values (
    %(name)s, %(prefix)s, %(digest)s, %(role)s, %(expires_at)s, %(scopes)s::text[], %(by)s
)
returning id;

-- name: find
-- `fresh` if its use was noted within the last minute: this is for people to look at.
select id, name, role::text as role, scopes, digest,
       coalesce(last_used_at > clock_timestamp() - interval '1 minute', false) as fresh
  from tokens
 where digest = any(%(digests)s::bytea[]) and revoked_at is null
   and (expires_at is null or expires_at > clock_timestamp());

-- name: has_admin
select exists (
    select from tokens
     where role = 'admin' and revoked_at is null
       and (expires_at is null or expires_at > clock_timestamp())
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
select id, name, prefix, role::text as role, scopes, created_at, created_by, expires_at,
       revoked_at, last_used_at
  from tokens
 where id = %(id)s;

-- name: all
select id, name, prefix, role::text as role, scopes, created_at, created_by, expires_at,
       revoked_at, last_used_at
  from tokens
 order by id desc
 limit 1000;

-- name: revoke
update tokens set revoked_at = clock_timestamp() where id = %(id)s and revoked_at is null;

-- name: has_other_admin
-- Somebody who can still make tokens when this one is gone; only who may do all counts.
select exists (
    select from tokens
     where role = 'admin' and scopes is null and id <> %(id)s and revoked_at is null
       and expires_at is null
) as found;
