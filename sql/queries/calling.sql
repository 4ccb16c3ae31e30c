-- name: called
-- Those that servers call.
select id, name, address, public_key
  from workstations
 where is_dialled and state = 'ACCEPTED' and address is not null
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
