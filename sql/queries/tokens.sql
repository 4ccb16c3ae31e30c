-- name: create
insert into tokens (name, prefix, digest, role, expires_at)
values (%(name)s, %(prefix)s, %(digest)s, %(role)s, %(expires_at)s)
returning id;

-- name: find
select id, name, role::text as role
  from tokens
 where digest = %(digest)s and revoked_at is null
   and (expires_at is null or expires_at > clock_timestamp());

-- name: has_admin
select exists (
    select from tokens
     where role = 'admin' and revoked_at is null
       and (expires_at is null or expires_at > clock_timestamp())
) as found;

-- name: used
-- At most once a minute for each token: this is for people to look at.
update tokens
   set last_used_at = clock_timestamp()
 where id = %(id)s
   and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute');
