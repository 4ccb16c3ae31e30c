-- name: called
-- Those that a server has to call: not those that have called one themselves. `mine` are called here.
select id, name, address, public_key
  from workstations
 where is_dialled and state = 'ACCEPTED' and address is not null
   and (server is null or heard_at < clock_timestamp() - %(silence)s::interval
        or id = any(%(mine)s::bigint[]))
 order by id;

-- name: take
-- One server calls a workstation, as long as the connection lives that has taken it.
select pg_try_advisory_lock(738195, (%(workstation)s::bigint %% 2147483647)::integer);

-- name: give_back
select pg_advisory_unlock(738195, (%(workstation)s::bigint %% 2147483647)::integer);

-- name: tell
-- Why it was not reached, for people; null: it was.
update workstations
   set unreached = %(why)s::text
 where id = %(workstation)s and unreached is distinct from %(why)s::text;
