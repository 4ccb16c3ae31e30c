-- name: begin
insert into sessions (digest, user_id, source, agent, expires_at, ends_at)
select %(digest)s, %(user)s, %(source)s, %(agent)s,
       least(clock_timestamp() + %(idle)s::interval, clock_timestamp() + %(length)s::interval),
       clock_timestamp() + %(length)s::interval
returning id;

-- name: find
-- Of somebody who may still sign in. `fresh` if it was put off within the last minute.
select s.id, s.user_id, u.name, u.display_name, u.role::text as role, s.source, s.created_at,
       s.expires_at, s.ends_at,
       s.seen_at > clock_timestamp() - interval '1 minute' as fresh
  from sessions s
  join users u on u.id = s.user_id
 where s.digest = %(digest)s and s.ended_at is null and u.disabled_at is null
   and s.expires_at > clock_timestamp();

-- name: seen
-- Puts the end off, never beyond the last possible one.
update sessions
   set seen_at = clock_timestamp(), expires_at = least(clock_timestamp() + %(idle)s::interval, ends_at)
 where id = %(id)s and ended_at is null;

-- name: page
-- The newest first; `user` is whose may be seen, null for all.
select s.id, u.name as user, s.source, s.agent, s.created_at, s.seen_at, s.expires_at, s.ends_at
  from sessions s
  join users u on u.id = s.user_id
 where s.ended_at is null and s.expires_at > clock_timestamp()
   and (%(user)s::bigint is null or s.user_id = %(user)s)
   and (%(name)s::text is null or u.name = %(name)s)
   and s.id < coalesce(%(after)s, 9223372036854775807)
 order by s.id desc
 limit %(limit)s;

-- name: chosen
-- These sessions as far as they may be seen and have not ended.
select s.id, u.name as user, s.source, s.agent, s.created_at, s.seen_at, s.expires_at, s.ends_at
  from sessions s
  join users u on u.id = s.user_id
 where s.id = any(%(ids)s::bigint[]) and s.ended_at is null and s.expires_at > clock_timestamp()
   and (%(user)s::bigint is null or s.user_id = %(user)s)
 order by s.id desc;

-- name: end
-- `user` is whose may be ended, null for all.
update sessions
   set ended_at = coalesce(ended_at, clock_timestamp())
 where id = %(id)s and (%(user)s::bigint is null or user_id = %(user)s);

-- name: end_all
update sessions
   set ended_at = clock_timestamp()
 where user_id = %(user)s and ended_at is null and id is distinct from %(except_for)s;

-- name: knows
-- Whether this user was signed in from there before.
select exists (
    select from sessions s join users u on u.id = s.user_id
     where u.name = %(name)s and s.source = %(source)s
) as found;

-- name: try
-- Counts one more try, before anything is looked at: of a thousand at once only as many go on as may.
insert into sign_ins as known (key, tries)
values (%(key)s, 1)
    on conflict (key) do update
    set tries = case when known.since < clock_timestamp() - %(window)s::interval then 1
                     else least(known.tries + 1, 1000000) end,
        since = case when known.since < clock_timestamp() - %(window)s::interval then clock_timestamp()
                     else known.since end
returning tries,
          extract(epoch from known.since + %(window)s::interval - clock_timestamp())::integer as seconds;

-- name: forgive
-- A try that was right does not count.
update sign_ins set tries = greatest(tries - 1, 0) where key = any(%(keys)s);

-- name: forget_tries
delete from sign_ins where key = %(key)s;

-- name: forget
-- What was over a month ago, and counts of tries that nobody repeats.
with gone as (
    delete from sessions where ends_at < clock_timestamp() - interval '30 days' returning id
)
delete from sign_ins
 where since < clock_timestamp() - interval '1 day';
