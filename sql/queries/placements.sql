-- name: ready_queues
-- The queues of labels from which something can be claimed, the most urgent first. One probe of the
-- index for each of them, however many tasks they have.
with recursive front as (
    (
        select queue, rank, ready_seq
          from tasks
         where state = 'READY' and placement is not null
           and queue collate "C" >= 'on:' and queue collate "C" < 'on;'
         order by queue collate "C", rank, ready_seq
         limit 1
    )
    union all
    select next.queue, next.rank, next.ready_seq
      from front
     cross join lateral (
        select queue, rank, ready_seq
          from tasks
         where state = 'READY' and placement is not null
           and queue collate "C" > front.queue and queue collate "C" < 'on;'
         order by queue collate "C", rank, ready_seq
         limit 1
     ) as next
)
select queue from front order by rank, ready_seq;

-- name: stations
-- The workstations that tasks may go to, whether they are there or not.
select name, told_labels || labels as labels from workstations where state = 'ACCEPTED' order by name;

-- name: seen
-- The workstations, and what keeps them from taking more.
select w.name, w.state::text as state, w.told_labels || w.labels as labels, w.heard_at,
       coalesce(w.heard_at < clock_timestamp() - %(silence)s::interval, true) as is_away,
       w.draining, w.told_drain, w.drain_reason, w.unfit, w.slots,
       (select count(*) from workstation_hands h where h.workstation = w.id and h.stage <> 'OVER')
           as in_hand,
       case when w.free = 0 then (
           select h.why from workstation_hands h
            where h.workstation = w.id and h.refusal = 'busy'
            order by h.over_at desc
            limit 1
       ) end as busy
  from workstations w
 order by w.name;

-- name: taken
-- Who took what goes together in a run: by the queue that it was taken from. One that takes nothing
-- any more is none of them.
select p.selector, p.workstation
  from placements p
  join workstations w on w.name = p.workstation and w.state = 'ACCEPTED'
 where p.run_id = %(run)s;

-- name: claim
-- Who has claimed, and which of it goes together with other tasks of its run.
select name, array(
           select id from tasks
            where id = any(%(tasks)s::bigint[]) and placement @> '{"sticky": true}'
       ) as sticky
  from workstations
 where id = %(id)s;

-- name: note
-- Whoever claims the first of what goes together in a run takes the rest as well, and whoever claims
-- from one that takes nothing any more. Waits for another who is just doing the same; so one claim at
-- a time, each in a transaction of its own.
insert into placements as p (run_id, selector, workstation)
select distinct run_id, queue, %(workstation)s
  from tasks
 where id = any(%(tasks)s::bigint[]) and queue like 'on:%%' and placement @> '{"sticky": true}'
 order by run_id, queue
on conflict (run_id, selector) do update
   set workstation = excluded.workstation, taken_at = clock_timestamp()
 where not exists (
        select from workstations w where w.name = p.workstation and w.state = 'ACCEPTED'
       );

-- name: give_back
-- What somebody else has taken the first of goes to them, as if it had been neither claimed nor
-- offered.
with back as (
    update tasks t
       set state = 'READY', holder = null, started_at = null, queue = 'ws:' || p.workstation,
           ready_seq = nextval('ready_seq')
      from placements p
     where t.id = any(%(tasks)s::bigint[]) and t.state = 'IN_PROGRESS'
       and p.run_id = t.run_id and p.selector = t.queue and p.workstation <> %(workstation)s
       and t.placement @> '{"sticky": true}'
    returning t.id, t.attempt, t.queue
), unoffered as (
    delete from workstation_hands h
     using back b
     where h.task_id = b.id and h.attempt = b.attempt
)
select id, queue from back;

-- name: keep
-- Who took it is kept with a task: where it is to be undone, and for people to see.
update tasks
   set placement = placement || jsonb_build_object('taken', %(workstation)s::text)
 where id = any(%(tasks)s::bigint[]) and queue like 'on:%%' and placement is not null
returning id, run_id;

-- name: gather
-- The rest of what goes together in these runs waits for the same workstation. What somebody is just
-- deciding on is left: it is given back when another claims it.
update tasks t
   set queue = 'ws:' || p.workstation
  from placements p
 where p.run_id = any(%(runs)s::uuid[]) and p.workstation = %(workstation)s
   and t.id = any(array(
        select mine.id
          from tasks mine
         where mine.run_id = p.run_id and mine.queue = p.selector
           and mine.state in ('PENDING', 'WAITING', 'READY')
           and mine.placement @> '{"sticky": true}'
         order by mine.id
           for no key update skip locked
       ))
returning t.queue;

-- name: leave
-- What goes together in a run may go elsewhere. The run is locked by the caller.
with gone as (
    delete from placements
     where run_id = %(run)s and selector = %(selector)s
    returning run_id, selector, workstation
)
update tasks t
   set queue = g.selector,
       ready_seq = case when t.state = 'READY' then nextval('ready_seq') else t.ready_seq end
  from gone g
 where t.run_id = g.run_id and t.queue = 'ws:' || g.workstation
   and t.state in ('PENDING', 'WAITING', 'READY') and t.placement @> '{"sticky": true}'
returning t.queue;

-- name: too_late
-- The runs of what should have begun by now and waits for a workstation still.
select distinct run_id
  from (
    select run_id
      from tasks
     where state = 'READY' and placement ->> 'start_before' is not null
       and (placement ->> 'start_before') collate "C" <= (
            select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS+00:00')
           )
     order by (placement ->> 'start_before') collate "C"
     limit %(limit)s
  ) as late;

-- name: next_too_late
-- Seconds until the first of those moments; null if there is none.
select extract(epoch from (
    select (placement ->> 'start_before')::timestamptz
      from tasks
     where state = 'READY' and placement ->> 'start_before' is not null
     order by (placement ->> 'start_before') collate "C"
     limit 1
) - clock_timestamp())::float8 as seconds;
