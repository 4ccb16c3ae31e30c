-- name: claim
-- Takes the most urgent READY tasks of one queue. Rows that another holder is taking are skipped,
-- so nothing waits here and no lock order can be broken; runs are not touched. One limited index
-- scan for each rank, from its floor: entries below it are known to be taken. A paused queue, or
-- a holder without a lease, gets nothing.
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
)
update tasks
   set state = 'IN_PROGRESS', attempt = attempt + 1, holder = %(holder)s,
       started_at = clock_timestamp(), exit_code = null, error = null
 where id = any(array(select id from picked))
returning id, run_id, name, kind, attempt, on_lost, invocation, queue, rank, ready_seq;

-- name: record
-- Plain successes of one holder, of runs that the caller has locked in a statement before this
-- one. What this leaves out (its guard did not hold, or the run is not simply IN_PROGRESS) is
-- for the judge: its id is not among `closed`. Successors that nothing stands in the way of
-- become READY, or stay in the holder's hand at once (`keep` of them at most, none of a rank
-- below `best`); the others say why they wait. One that needs more successes than can still come
-- is to be looked at ('settle'), and so is one whose items are all over ('gather').
with outcome as materialized (
    select *
      from unnest(
        %(runs)s::uuid[], %(tasks)s::bigint[], %(attempts)s::integer[], %(exit_codes)s::integer[],
        %(outputs)s::jsonb[], %(details)s::jsonb[], %(ended_ats)s::timestamptz[]
      ) as o (run_id, task_id, attempt, exit_code, output, detail, ended_at)
), closed as (
    update tasks t
       set state = 'COMPLETED', passed = true, holder = null, wanted = null,
           counted = t.counted + 1, exit_code = o.exit_code, output = o.output,
           finished_at = greatest(
               t.started_at, least(coalesce(o.ended_at, clock_timestamp()), clock_timestamp())
           )
      from outcome o
      join runs r on r.id = o.run_id
     where t.id = o.task_id and t.attempt = o.attempt and t.state = 'IN_PROGRESS'
       and not t.judged and (t.placement -> 'original') is null
       -- Said so that no index over holders or states is tempted: everything in hand would be
       -- read once for each outcome.
       and (t.holder = %(holder)s) is true
       and (r.state = 'IN_PROGRESS' and r.ends_as is null) is true
    returning t.id, t.run_id, t.attempt, t.started_at, t.finished_at, t.exit_code, t.output,
              t.successors, t.role = 'item' as is_item, cardinality(t.limit_keys) > 0 as limited,
              t.kind = 'workflow' as is_workflow, r.round, r.events, o.detail
), due as (
    select s.id, d.n, case
               when s.reason = 'items' then case when s.open = d.n then 'gather' end
               when s.state <> 'PENDING' then null
               when s.needed > d.n then case when s.open = d.n then 'settle' end
               when s.settles then 'settle'
               when s.queue = any(array(select name from queues where size is not null))
                   then 'limit'
               when d.place <= %(keep)s and s.rank - s.rank %% 2 <= %(best)s
                    and s.queue = any(%(queues)s)
                    and s.queue <> all(array(select name from queues where paused_at is not null))
                    and exists (
                       select from holders
                        where id = %(holder)s and state = 'ACTIVE'
                          and lease_until > clock_timestamp()
                    )
                   then 'take'
               else 'ready'
           end as verdict
      from (
        select run_id, successor, is_item, count(*)::integer as n, row_number() over () as place
          from closed, unnest(successors) as successor
         group by run_id, successor, is_item
      ) d
      join tasks s on s.run_id = d.run_id and s.position = d.successor
                  and (s.reason is not distinct from 'items') = d.is_item
), moved as (
    update tasks t
       set needed = greatest(t.needed - d.n, 0),
           open = t.open - d.n,
           state = case d.verdict
               when 'take' then 'IN_PROGRESS' when 'ready' then 'READY'
               when 'settle' then 'WAITING' when 'limit' then 'WAITING' else t.state
           end::task_state,
           reason = case
               when d.verdict in ('settle', 'limit') then d.verdict::wait_reason else t.reason
           end,
           due_at = case
               when d.verdict in ('settle', 'gather') then clock_timestamp() else t.due_at
           end,
           ready_seq = case
               when d.verdict in ('take', 'ready') then nextval('ready_seq') else t.ready_seq
           end,
           holder = case when d.verdict = 'take' then %(holder)s::bigint else t.holder end,
           attempt = t.attempt + (d.verdict is not distinct from 'take')::integer,
           started_at = case
               when d.verdict = 'take' then clock_timestamp() else t.started_at
           end,
           rank = t.rank - t.rank %% 2
      from due d
     where t.id = d.id
    returning t.id, t.run_id, t.name, t.kind, t.attempt, t.on_lost, t.invocation, t.queue,
              t.rank, t.ready_seq, d.verdict
), counted as (
    update runs r
       set open = r.open - c.n,
           events = r.events + c.n + (r.open = c.n)::integer,
           state = case when r.open = c.n then 'COMPLETED' else r.state end::run_state,
           finished_at = case when r.open = c.n then clock_timestamp() end,
           due_at = case when r.open > c.n then r.due_at end,
           -- What a workflow comes to that is all there is, its run comes to.
           output = case when r.total = 1 and c.output is not null then c.output else r.output end
      from (
        select run_id, count(*)::integer as n,
               (array_agg(output) filter (where is_workflow))[1] as output
          from closed
         group by run_id
      ) c
     where r.id = c.run_id
    returning r.id, r.events, r.open
), tried as (
    insert into attempts (
        run_id, task_id, number, round, state, counted, holder, started_at, finished_at,
        exit_code, output, detail
    )
    select run_id, id, attempt, round, 'SUCCEEDED', true, %(holder)s, started_at, finished_at,
           exit_code, output, detail
      from closed
), told as (
    insert into history (run_id, seq, kind, task_id, attempt)
    select run_id, events + row_number() over (partition by run_id order by id),
           'task.completed', id, attempt
      from closed
    union all
    select id, events, 'run.completed', null, null from counted where open = 0
), freed as (
    update limit_slots set task_id = null
     where task_id = any(array(select id from closed where limited))
    returning key
)
select (select array_agg(id) from closed) as closed,
       (select array_agg(id) from counted where open = 0) as completed,
       (select array_agg(run_id) from moved where verdict in ('settle', 'gather')) as unsettled,
       (select array_agg(id) from moved where verdict = 'limit') as limited,
       (select array_agg(distinct queue) from moved where verdict = 'ready') as readied,
       (select array_agg(key) from freed) as freed,
       (select json_agg(json_build_array(
            id, run_id, name, kind, attempt, on_lost, invocation, queue, rank, ready_seq
        )) from moved where verdict = 'take') as taken;

-- name: in_hand
-- What the database believes a holder has in its hands.
select id, run_id, name, kind, attempt, on_lost, invocation, queue, rank, ready_seq
  from tasks
 where holder = %(holder)s and state = 'IN_PROGRESS'
 order by id;

-- name: wanted
-- What people want of the tasks in a holder's hands.
select id, attempt, wanted
  from tasks
 where holder = %(holder)s and wanted is not null;

-- name: lock_of_runs
-- The tasks of runs that the caller has locked. A claim in flight is waited for and seen; what is
-- final nobody can change but the caller. What workflows called and is over stays away: there may
-- be thousands of it, and nothing depends on it.
with living as materialized (
    select id, run_id, position, name, kind, state, reason, blocked_on, due_at, queue, rank, required,
           needed, open, passed, successors, handler, settles, judged, on_lost, limit_keys, attempt,
           counted, lost, holder, wanted, invocation, exit_code, error, started_at, finished_at, role,
           of, item, iteration, share, placement
      from tasks
     where run_id = any(%(runs)s) and position < 1000000000
       and state not in ('COMPLETED', 'FAILED', 'SKIPPED', 'STOPPED')
     order by id
       for no key update
), called as materialized (
    select id, run_id, position, name, kind, state, reason, blocked_on, due_at, queue, rank, required,
           needed, open, passed, successors, handler, settles, judged, on_lost, limit_keys, attempt,
           counted, lost, holder, wanted, invocation, exit_code, error, started_at, finished_at, role,
           of, item, iteration, share, placement
      from tasks
     where run_id = any(%(runs)s) and role = 'call'
       and state in ('PENDING', 'WAITING', 'READY', 'IN_PROGRESS')
     order by id
       for no key update
)
select id, run_id, position, name, kind, state, reason, blocked_on, due_at, queue, rank, required,
       needed, open, passed, successors, handler, settles, judged, on_lost, limit_keys, attempt,
       counted, lost, holder, wanted, invocation, exit_code, error, started_at, finished_at, role,
       of, item, iteration, share, placement
  from living
union all
select id, run_id, position, name, kind, state, reason, blocked_on, due_at, queue, rank, required,
       needed, open, passed, successors, handler, settles, judged, on_lost, limit_keys, attempt,
       counted, lost, holder, wanted, invocation, exit_code, error, started_at, finished_at, role,
       of, item, iteration, share, placement
  from called
union all
select id, run_id, position, name, kind, state, reason, blocked_on, due_at, queue, rank, required,
       needed, open, passed, successors, handler, settles, judged, on_lost, limit_keys, attempt,
       counted, lost, holder, wanted, invocation, exit_code, error, started_at, finished_at, role,
       of, item, iteration, share, placement
  from tasks
 where run_id = any(%(runs)s) and position < 1000000000
   and state in ('COMPLETED', 'FAILED', 'SKIPPED', 'STOPPED')
 order by position;

-- name: lock
-- Some tasks of runs that the caller has locked, in the order of their ids.
select id from tasks where id = any(%(ids)s) order by id for no key update;

-- name: results
-- What expressions may read of a run's tasks; of items they read what was gathered.
select name, state::text as state, exit_code, output, error, started_at, finished_at,
       metadata ->> 'output_left_out' as left_out
  from tasks
 where run_id = %(run)s and role = 'task' and position < 1000000000
 order by position;

-- name: gathered
-- What the items of some tasks came to: a list in their order, or a map by their keys, with null
-- for those that did not succeed; only its size where it is longer than what is kept.
with items as (
    select of, item, case when state = 'COMPLETED' then output end as output
      from tasks
     where run_id = %(run)s and of = any(%(positions)s::integer[]) and role = 'item'
       and position < 1000000000
       and jsonb_typeof(item) = 'object'
), sizes as (
    select of, sum(coalesce(octet_length(output::text), 4)) + 2 * count(*) as size
      from items
     group by of
)
select s.of as position, s.size, g.output
  from sizes s
  left join lateral (
    select coalesce(
               jsonb_object_agg(item ->> 'key', output) filter (where item ->> 'key' is not null),
               jsonb_agg(output order by (item ->> 'index')::integer)
           )::text as output
      from items i
     where i.of = s.of and s.size <= %(most)s
     group by i.of
  ) g on true;

-- name: outputs
-- Of some tasks of a run, by their positions.
select position, output
  from tasks
 where run_id = %(run)s and position = any(%(positions)s::integer[]);

-- name: add
-- Tasks that a run did not begin with. The runs are locked by the caller.
insert into tasks (
    run_id, position, name, kind, state, reason, blocked_on, due_at, queue, rank, ready_seq,
    required, needed, open, passed, successors, settles, judged, on_lost, limit_keys, attempt,
    wanted, invocation, error, started_at, finished_at, role, of, item, iteration, share, placement
)
select run_id, position, name, kind, state, reason, blocked_on, due_at, queue, rank,
       case when state = 'READY' then nextval('ready_seq') end,
       required, needed, open, passed, successors, settles, judged, on_lost, limit_keys, attempt,
       wanted, invocation, error, started_at, finished_at, role, of,
       item, iteration, share, placement
  from (
    select *
      from jsonb_to_recordset(%(rows)s::jsonb) as new (
        run_id uuid, position integer, name text, kind text, state task_state,
        reason wait_reason, blocked_on text, due_at timestamptz, queue text, rank smallint,
        required integer, needed integer, open integer, passed boolean, successors integer[],
        settles boolean, judged boolean, on_lost text, limit_keys text[], attempt integer,
        wanted text, invocation jsonb, error text, started_at timestamptz,
        finished_at timestamptz, role text, of integer, item jsonb, iteration integer, share text,
        placement jsonb
      )
     order by run_id, position
  ) as sorted
returning run_id, position, id;

-- name: note
update tasks t
   set metadata = coalesce(t.metadata, '{}') || u.note
  from unnest(%(ids)s::bigint[], %(notes)s::jsonb[]) as u (id, note)
 where t.id = u.id;

-- name: write
-- Writes back what a board decided. The runs are locked by the caller.
update tasks t
   set state = u.state, reason = u.reason, blocked_on = u.blocked_on, due_at = u.due_at,
       rank = u.rank, needed = u.needed, open = u.open, passed = u.passed,
       limit_keys = array(select jsonb_array_elements_text(u.limit_keys)),
       attempt = u.attempt, counted = u.counted, lost = u.lost, holder = u.holder,
       wanted = u.wanted,
       invocation = u.invocation, exit_code = u.exit_code, error = u.error, share = u.share,
       item = u.item, iteration = u.iteration, queue = u.queue, placement = u.placement,
       output = case when u.output_changed then u.output else t.output end,
       started_at = u.started_at, finished_at = u.finished_at,
       ready_seq = case
           when u.state = 'READY' and t.state <> 'READY' then nextval('ready_seq')
           else t.ready_seq
       end
  from unnest(
    %(ids)s::bigint[], %(states)s::task_state[], %(reasons)s::wait_reason[],
    %(blocked_on)s::text[], %(due_at)s::timestamptz[], %(ranks)s::smallint[],
    %(needed)s::integer[], %(open)s::integer[], %(passed)s::boolean[], %(limit_keys)s::jsonb[],
    %(attempts)s::integer[], %(counted)s::integer[], %(lost)s::integer[],
    %(holders)s::bigint[], %(wanted)s::text[],
    %(invocations)s::jsonb[], %(exit_codes)s::integer[], %(errors)s::text[],
    %(outputs)s::jsonb[], %(output_changed)s::boolean[],
    %(started_at)s::timestamptz[], %(finished_at)s::timestamptz[], %(shares)s::text[],
    %(items)s::jsonb[], %(iterations)s::integer[], %(queues)s::text[], %(placements)s::jsonb[]
  ) as u (
    id, state, reason, blocked_on, due_at, rank, needed, open, passed, limit_keys, attempt, counted,
    lost, holder, wanted, invocation, exit_code, error, output, output_changed, started_at,
    finished_at, share, item, iteration, queue, placement
  )
 where t.id = u.id
returning t.id, t.queue, t.state::text as state, t.reason::text as reason;

-- name: promote
-- READY for what waited out its time, of runs that the caller has locked. Limited ones, those for
-- workstations and those of runs that are not simply IN_PROGRESS are for the judge.
update tasks t
   set state = 'READY', reason = null, due_at = null, ready_seq = nextval('ready_seq')
  from runs r
 where t.run_id = any(%(runs)s) and r.id = t.run_id and (r.state = 'IN_PROGRESS') is true
   and t.state = 'WAITING' and t.reason = 'backoff' and t.due_at <= clock_timestamp()
   and cardinality(t.limit_keys) = 0 and t.placement is null
   and t.kind <> all('{process,sleep,wait_for,approval,emit,branch,recv,get,result}')
   and t.queue <> all(array(select name from queues where size is not null))
returning t.queue;

-- name: due_runs
-- The runs of the tasks whose time has come, the longest due first. The time is asked for once: one
-- that is asked for anew with each row bounds no index, and all that is still to come would be read.
select distinct run_id
  from (
    select run_id
      from tasks
     where state = 'WAITING' and due_at <= (select clock_timestamp())
     order by due_at
     limit %(limit)s
  ) as due;

-- name: next_due
-- Seconds until the earliest time that something waits for; null if nothing does.
select extract(epoch from least(
    (select min(due_at) from tasks where state = 'WAITING' and due_at is not null),
    (select min(due_at) from runs where due_at is not null)
) - clock_timestamp())::float8 as seconds;

-- name: of_holders
-- What holders that are gone had in hand. With `on_lost: wait` it stays theirs, until somebody who
-- does not want to wait for it any more kills the run.
select t.id, t.run_id, t.attempt, t.holder
  from tasks t
  join holders h on h.id = t.holder
 where t.holder = any(array(select id from holders where state = 'GONE' and id = any(%(holders)s)))
   and (t.on_lost <> 'wait' or t.wanted = 'kill')
 limit %(limit)s;

-- name: gone_holders
-- Holders that are gone and still named by a task that does not wait for them, or not any more.
select distinct h.id
  from holders h
 where h.state = 'GONE' and h.renewed_at > clock_timestamp() - interval '30 days'
   and exists (
        select
          from tasks t
         where t.holder = h.id and (t.on_lost <> 'wait' or t.wanted = 'kill')
       );

-- name: of_run
select id, run_id, position, name, kind, state::text as state, reason::text as reason, blocked_on,
       due_at, queue, 9 - rank / 2 as priority, needed, open, attempt, counted, lost, holder, wanted,
       invocation, exit_code, output, error, started_at, finished_at, successors, handler,
       limit_keys, on_lost, role, of, item, iteration, share, placement,
       case when (progress ->> 'attempt')::integer = attempt then progress end as progress
  from tasks
 where run_id = %(run)s
 order by position
 limit %(limit)s offset %(offset)s;

-- name: set_rank
-- A new priority for what a run has not finished. What is READY queues up anew, or it would lie
-- below the floors of those who claim at that priority.
update tasks
   set rank = %(rank)s + rank %% 2,
       ready_seq = case when state = 'READY' then nextval('ready_seq') else ready_seq end
 where id = any(array(
        select id
          from tasks
         where run_id = %(run)s and state not in ('COMPLETED', 'FAILED', 'SKIPPED', 'STOPPED')
         order by id
           for no key update
       ));

-- name: get
select id, run_id, position, name, kind, state::text as state, reason::text as reason, blocked_on,
       due_at, queue, 9 - rank / 2 as priority, needed, open, attempt, counted, lost, holder, wanted,
       invocation, exit_code, output, error, started_at, finished_at, successors, handler,
       limit_keys, on_lost, role, of, item, iteration, share, placement,
       case when (progress ->> 'attempt')::integer = attempt then progress end as progress
  from tasks
 where id = %(task)s;

-- name: adopt
-- A holder that was declared gone and comes back with the same runner takes up again what waited
-- for it. One that comes back with a new runner takes what this one can tell about: the new
-- runner of a folder knows what became of the old one's commands, and ended is better than lost.
update tasks t
   set holder = %(holder)s
  from holders h, holders me
 where t.holder = h.id and h.state = 'GONE' and me.id = %(holder)s
   and (h.incarnation = %(incarnation)s
        or (h.name = me.name and t.id || '.' || t.attempt = any(%(known)s::text[])))
returning t.id;
