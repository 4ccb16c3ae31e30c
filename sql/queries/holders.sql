-- name: retire_others
-- A new incarnation of a name: the old one is gone, whatever its lease says.
update holders
   set state = 'GONE'
 where name = %(name)s and state <> 'GONE' and incarnation <> %(incarnation)s
returning id;

-- name: register
-- The same incarnation keeps its id, so that a worker that restarted adopts what its runner has.
insert into holders (
    name, kind, incarnation, host, pid, version, queues, slots, lease_until
)
values (
    %(name)s, %(kind)s, %(incarnation)s, %(host)s, %(pid)s, %(version)s, %(queues)s, %(slots)s,
    clock_timestamp() + %(lease)s
)
on conflict (name) where state <> 'GONE' do update
   set pid = excluded.pid, version = excluded.version, queues = excluded.queues,
       slots = excluded.slots, renewed_at = clock_timestamp(),
       lease_until = excluded.lease_until
returning id;

-- name: renew
-- A holder that was declared gone stays gone: it gets no row back, and must stop.
update holders
   set renewed_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s
 where id = %(id)s and state <> 'GONE'
returning id, state::text as state;

-- name: retire
update holders set state = 'GONE' where id = %(id)s and state <> 'GONE' returning id;

-- name: expire
-- Judges nobody until the database has been up for one lease: until then nobody could renew.
update holders
   set state = 'GONE'
 where state <> 'GONE' and lease_until < clock_timestamp()
   and pg_postmaster_start_time() < clock_timestamp() - %(lease)s::interval
returning id, name;

-- name: drain
update holders
   set state = %(state)s
 where name = %(name)s and state <> 'GONE'
returning id;

-- name: all
select h.id, h.name, h.kind, h.host, h.pid, h.version, h.queues, h.slots, h.state::text as state,
       h.started_at, h.renewed_at, h.lease_until, r.sdk, r.carrier,
       (select count(*) from tasks t where t.holder = h.id) as in_hand
  from holders h
  left join remotes r on r.holder = h.id
 where h.state <> 'GONE' or h.renewed_at > clock_timestamp() - interval '1 day'
 order by h.state, h.name, h.id;

-- name: forget
delete from holders h
 where h.state = 'GONE' and h.renewed_at < clock_timestamp() - interval '30 days'
   and not exists (select from tasks t where t.holder = h.id);
