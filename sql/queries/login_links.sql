-- name: make
-- Links that nobody used go when the next is made.
with gone as (
    delete from login_links where expires_at < clock_timestamp()
)
insert into login_links (digest, user_id, created_by, expires_at)
values (%(digest)s, %(user)s, %(by)s, clock_timestamp() + %(length)s::interval)
returning expires_at;

-- name: spend
-- One of those who come with the same link gets a row, while the link is good.
delete from login_links
 where digest = %(digest)s and expires_at > clock_timestamp()
returning user_id, created_by;
