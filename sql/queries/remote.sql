-- name: register
-- A new session becomes a holder. The name may be taken by one that lives: then there is no row.
with holder as (
    insert into holders (
        name, kind, incarnation, host, pid, version, queues, slots, lease_until
    )
    values (
        %(name)s, 'remote', %(session)s, %(host)s, %(pid)s, %(version)s, %(queues)s, %(slots)s,
        clock_timestamp() + %(lease)s
    )
    on conflict (name) where state <> 'GONE' do nothing
    returning id
)
insert into remotes (holder, session, token, queues, sdk, carrier, connection)
select id, %(session)s::uuid, %(token)s, %(queues)s, %(sdk)s, %(carrier)s, %(connection)s
  from holder
returning holder;

-- name: find
-- Of the session's holder, whatever became of it. `awaited`: somebody waits for what it has in hand,
-- however long it is silent.
select r.holder, r.token, r.carrier, r.connection, h.name, h.state::text as state, h.queues, h.slots,
       exists (
        select
          from tasks t
         where t.holder = r.holder and t.state = 'IN_PROGRESS' and t.on_lost = 'wait'
           and t.wanted is distinct from 'kill'
       ) as awaited
  from remotes r
  join holders h on h.id = r.holder
 where r.session = %(session)s;

-- name: lock
-- Of two who greet for one session, one waits.
select holder from remotes where session = %(session)s for no key update;

-- name: greet
-- The session goes on over another connection; none that was declared gone does.
with holder as (
    update holders h
       set queues = %(queues)s, slots = %(slots)s, host = %(host)s, pid = %(pid)s,
           version = %(version)s, renewed_at = clock_timestamp(),
           lease_until = clock_timestamp() + %(lease)s
     where h.id = %(holder)s and h.state <> 'GONE'
    returning h.id
)
update remotes r
   set queues = %(queues)s, sdk = %(sdk)s, carrier = %(carrier)s, connection = %(connection)s
  from holder
 where r.holder = holder.id
returning r.holder;

-- name: revive
-- One that was declared gone, and is waited for, is back. The name may be another's by now: then there
-- is no row.
update holders h
   set state = 'ACTIVE', name = %(name)s, queues = %(queues)s, slots = %(slots)s,
       renewed_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s
 where h.id = %(holder)s and h.state = 'GONE'
   and not exists (select from holders o where o.name = %(name)s and o.state <> 'GONE')
returning h.id;

-- name: renew
-- For all that were heard lately: how long ago, and over which connection. Who gets no row back is
-- spoken for by another connection, or was declared gone.
update holders h
   set renewed_at = greatest(h.renewed_at, clock_timestamp() - k.ago),
       lease_until = greatest(h.lease_until, clock_timestamp() - k.ago + %(lease)s)
  from unnest(%(holders)s::bigint[], %(connections)s::uuid[], %(ago)s::interval[])
    as k (holder, connection, ago)
  join remotes r on r.holder = k.holder and r.connection = k.connection
 where h.id = k.holder and h.state <> 'GONE'
returning h.id, h.state::text as state;

-- name: hands
-- What these holders have in hand, and what people want of it.
select t.holder, t.id, t.attempt, t.run_id, t.kind, t.started_at, t.wanted,
       extract(epoch from clock_timestamp() - t.started_at)::float8 as age
  from tasks t
 where t.holder = any(%(holders)s) and t.state = 'IN_PROGRESS'
 order by t.id;

-- name: ready
-- Those of the queues that something may be claimed from.
select served.queue
  from unnest(%(queues)s::text[]) as served (queue)
 where exists (select from tasks t where t.state = 'READY' and t.queue = served.queue)
   and not exists (
        select from queues q where q.name = served.queue and q.paused_at is not null
   );

-- name: claim
-- The most urgent READY tasks of one queue, as `claim` of tasks.sql takes them, with what an offer
-- says of them.
with picked as materialized (
    select ready.id
      from unnest(%(floors)s::bigint[]) with ordinality as level (floor, number)
     cross join lateral (
        select id
          from tasks
         where state = 'READY' and queue = %(queue)s
           and rank = (level.number - 1)::smallint and ready_seq >= level.floor
         order by ready_seq
         limit %(limit)s
           for update skip locked
     ) as ready
     where not exists (select from queues where name = %(queue)s and paused_at is not null)
       and exists (
        select from holders
         where id = %(holder)s and state = 'ACTIVE' and lease_until > clock_timestamp()
     )
     limit %(limit)s
), claimed as (
    update tasks
       set state = 'IN_PROGRESS', attempt = attempt + 1, holder = %(holder)s,
           started_at = clock_timestamp(), exit_code = null, error = null
     where id = any(array(select id from picked))
    returning id, run_id, position, name, kind, attempt, counted, lost, on_lost, invocation, queue,
              rank, ready_seq, iteration, wanted
)
select c.id, c.run_id, c.name, c.kind, c.attempt, c.on_lost, c.invocation, c.queue, c.rank,
       c.ready_seq, c.position, c.counted + c.lost + 1 as number, c.iteration, c.wanted, r.type,
       r.round
  from claimed c
  join runs r on r.id = c.run_id
 order by c.rank, c.ready_seq;

-- name: overdue
-- Attempts at actions whose time was over a while ago, and whose workers have not said so. Of one
-- that was held, only its worker knows how much of its time is left.
select t.id, t.attempt, t.run_id, t.holder, (t.invocation ->> 'timeout')::float8 as seconds
  from tasks t
 where t.holder = any(array(
        select h.id from holders h where h.state <> 'GONE' and h.kind = 'remote'
       ))
   and t.state = 'IN_PROGRESS' and t.kind = 'action' and (t.invocation ->> 'timeout') is not null
   and t.wanted is distinct from 'freeze' and t.wanted is distinct from 'thaw'
   and t.started_at + make_interval(secs => (t.invocation ->> 'timeout')::float8) + %(slack)s
       < clock_timestamp()
 order by t.id
 limit %(limit)s;

-- name: wanted
-- Attempts that are to be over, and that their workers have in hand.
select t.id, t.attempt, t.run_id, t.holder, t.wanted, (t.invocation ->> 'grace')::float8 as grace
  from tasks t
 where t.holder = any(array(
        select h.id from holders h where h.state <> 'GONE' and h.kind = 'remote'
       ))
   and t.state = 'IN_PROGRESS' and t.wanted in ('stop', 'kill')
 order by t.id;

-- name: last_served
-- When a worker that serves this queue was last heard; none in the last 30 days: no row.
select max(h.renewed_at) as at
  from remotes r
  join holders h on h.id = r.holder
 where r.queues @> array[%(queue)s::text];

-- name: retire
-- A session that has said it is over; what it had in hand goes back in the same transaction.
update holders set state = 'GONE' where id = %(holder)s and state <> 'GONE' returning id;

-- name: drain
update holders set state = 'DRAINING' where id = %(holder)s and state = 'ACTIVE' returning id;

-- name: of_tokens
-- Which of these tokens are good no more.
select t.id
  from tokens t
  left join users u on u.id = t.user_id
 where t.id = any(%(ids)s)
   and (t.revoked_at is not null or t.expires_at <= clock_timestamp()
        or u.disabled_at is not null or t.role <> 'worker');
