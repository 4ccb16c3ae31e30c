-- name: begin
-- Attempts of workflows that their holder has in hand, under the locks of their runs: from now on
-- only these record, each with its proof. Calls lie behind the tasks of the run, each workflow's in a
-- stretch of their own.
with mine as materialized (
    select t.id, t.run_id, t.attempt, t.position, k.proof,
           row_number() over (partition by t.run_id order by t.id) - 1 as place
      from unnest(%(tasks)s::bigint[], %(attempts)s::integer[], %(proofs)s::bytea[])
        as k (task_id, attempt, proof)
      join tasks t on t.id = k.task_id and t.attempt = k.attempt
     where t.state = 'IN_PROGRESS'
), again as (
    update workflows w
       set attempt = m.attempt, proof = m.proof, replays = w.replays + 1, shown = null
      from mine m
     where w.task_id = m.id
    returning w.task_id, w.run_id, w.base, w.version
), first as (
    insert into workflows (task_id, run_id, base, top, attempt, proof)
    select m.id, m.run_id, found.base, found.base, m.attempt, m.proof
      from mine m
     cross join lateral (
        select (coalesce(max(w.top) + 100000, 1000000000) + 100000 * m.place)::integer as base
          from workflows w
         where w.run_id = m.run_id
     ) as found
     where not exists (select from workflows w where w.task_id = m.id)
    returning task_id, run_id, base, version
)
select task_id, run_id, base, version from again
union all
select task_id, run_id, base, version from first;

-- name: number_left
-- Results that their own transactions kept, and nobody has told of, before the workflow is offered with
-- all that is known.
with mine as materialized (
    select task_id, run_id, base, orders
      from workflows
     where task_id = any(%(tasks)s::bigint[])
     order by task_id
       for no key update
), left_over as materialized (
    select c.id, m.task_id,
           m.orders + row_number() over (partition by m.task_id order by c.position) as next
      from mine m
      join tasks c on c.run_id = m.run_id and c.position > m.base and c.position < m.base + 100000
     where c.call_order is null and c.state in ('COMPLETED', 'FAILED', 'STOPPED')
), numbered as (
    update tasks t set call_order = l.next from left_over l where t.id = l.id
)
update workflows w
   set orders = coalesce(l.orders, m.orders), offered = coalesce(l.orders, m.orders),
       told = coalesce(l.orders, m.orders)
  from mine m
  left join (select task_id, max(next)::integer as orders from left_over group by task_id) l
         on l.task_id = m.task_id
 where w.task_id = m.task_id;

-- name: offered
-- What an offer says of a workflow: how many calls are known, up to which result, and its run's
-- input for one that has no payload of its own.
select w.task_id, w.run_id, w.base, w.orders, w.version, r.input,
       (select count(*)
          from tasks c
         where c.run_id = w.run_id and c.position > w.base and c.position < w.base + 100000
       )::integer as calls
  from workflows w
  join runs r on r.id = w.run_id
 where w.task_id = any(%(tasks)s::bigint[]);

-- name: stamp
-- Under which version of the code the calls of a workflow are made.
update workflows w
   set version = k.version
  from unnest(%(tasks)s::bigint[], %(versions)s::text[]) as k (task_id, version)
 where w.task_id = k.task_id and w.version is distinct from k.version;

-- name: history
-- Calls of one workflow in the order in which their results became known; those that were not over
-- when it was offered come last, also if they are by now: each has one place while it is gone through.
select c.position - w.base as seq, c.kind, c.name, k.call_order, c.state::text as state, c.output,
       c.error, c.metadata -> 'error' as told
  from workflows w
  join tasks c on c.run_id = w.run_id and c.position > w.base and c.position < w.base + 100000
 cross join lateral (
    select case when c.call_order <= w.offered then c.call_order end as call_order
 ) as k
 where w.run_id = %(run)s and w.base = %(base)s::integer
   and (coalesce(k.call_order, 2147483647), c.position)
       > (%(after_order)s::integer, %(after_position)s::integer)
 order by coalesce(k.call_order, 2147483647), c.position
 limit %(limit)s;

-- name: show
-- How much of its history an attempt has been told.
update workflows
   set shown = %(shown)s::integer[]
 where task_id = %(task)s and attempt = %(attempt)s;

-- name: unshown
-- The workflows in a holder's hands that have not been told all of their history.
select w.task_id, w.attempt, w.run_id, w.base, w.shown
  from tasks t
  join workflows w on w.task_id = t.id and w.attempt = t.attempt
 where t.holder = %(holder)s and t.state = 'IN_PROGRESS' and t.kind = 'workflow'
   and w.shown is not null
 order by w.task_id
 limit %(limit)s;

-- name: lock
-- The workflows of these whose attempts are in these hands. Their runs need no lock: what is recorded
-- is an attempt's own, and an attempt that was offered anew has another number.
select w.task_id, w.base, w.run_id
  from unnest(%(tasks)s::bigint[], %(attempts)s::integer[], %(holders)s::bigint[])
    as k (task_id, attempt, holder)
  join tasks t on t.id = k.task_id
  join workflows w on w.task_id = k.task_id
 where t.state = 'IN_PROGRESS' and t.attempt = k.attempt and t.holder = k.holder
   and w.attempt = k.attempt
 order by w.task_id
   for no key update of w;

-- name: record
-- Calls that are over, of workflows that the caller has locked in a statement before this one. What is
-- known already keeps its place; one that its own transaction kept gets one now. Without an order: the
-- server sees to that call, so nobody else ends it. Without a row: the attempt is not in that hand.
-- `fault`: what is known of it is that it failed.
with given as materialized (
    select *
      from unnest(
        %(tasks)s::bigint[], %(attempts)s::integer[], %(holders)s::bigint[], %(seqs)s::integer[],
        %(kinds)s::text[], %(names)s::text[], %(oks)s::boolean[], %(outputs)s::jsonb[],
        %(errors)s::text[], %(notes)s::jsonb[], %(inputs)s::jsonb[], %(tries)s::integer[],
        %(began)s::float8[], %(over)s::float8[]
      ) with ordinality as g (
        task_id, attempt, holder, seq, kind, name, ok, output, error, note, input, tries, began, over,
        place
      )
), known as materialized (
    select g.*, w.run_id, w.base, w.orders, f.position as of, f.queue, f.rank, c.id as call,
           c.call_order, c.is_over, c.fault
      from given g
      join workflows w on w.task_id = g.task_id and w.attempt = g.attempt
      join tasks f on f.id = g.task_id and f.state = 'IN_PROGRESS' and f.attempt = g.attempt
                  and f.holder = g.holder
      -- One probe for each: all calls of a workflow would be read for the next of them otherwise.
      left join lateral (
        select id, call_order, state in ('COMPLETED', 'FAILED', 'STOPPED') as is_over,
               case when state = 'FAILED' then error end as fault
          from tasks
         where run_id = w.run_id and position = w.base + g.seq
         limit 1
      ) as c on true
), fresh as materialized (
    select *, orders + row_number() over (partition by task_id order by place) as next
      from known
     where call is null or (call_order is null and is_over)
), made as (
    insert into tasks (
        run_id, position, name, kind, state, queue, rank, required, needed, open, passed,
        successors, settles, judged, on_lost, attempt, invocation, output, error, metadata,
        started_at, finished_at, role, of, call_order
    )
    select run_id, base + seq, name, kind,
           case when ok then 'COMPLETED' else 'FAILED' end::task_state, queue, rank, 0, 0, 0, ok,
           '{}', false, true, 'retry', tries,
           case when input is not null then jsonb_build_object('input', input) end, output, error,
           note,
           coalesce(to_timestamp(began), clock_timestamp()),
           coalesce(to_timestamp(over), clock_timestamp()), 'call', of, next
      from fresh
     where call is null
     order by task_id, place
    on conflict (run_id, position) do nothing
), kept as (
    update tasks t set call_order = f.next from fresh f where t.id = f.call
), moved as (
    update workflows w
       set orders = f.orders
      from (select task_id, max(next)::integer as orders from fresh group by task_id) f
     where w.task_id = f.task_id
)
select k.task_id, k.seq, coalesce(k.call_order, f.next)::integer as call_order,
       k.call is null as is_new, k.fault
  from known k
  left join fresh f on f.task_id = k.task_id and f.seq = k.seq
 order by k.place;

-- name: number
-- Calls that the server has seen to are over, of runs that the caller has locked: each gets its place
-- among the results. The holders that carry their workflows out come back.
with over as materialized (
    select c.id, f.id as task_id, f.holder, c.finished_at
      from tasks c
      join tasks f on f.run_id = c.run_id and f.position = c.of
     where c.id = any(%(calls)s::bigint[]) and c.call_order is null
), mine as materialized (
    select task_id, orders
      from workflows
     where task_id = any(array(select task_id from over))
     order by task_id
       for no key update
), numbered as materialized (
    select o.id, o.task_id, o.holder,
           m.orders + row_number() over (partition by o.task_id order by o.finished_at, o.id) as next
      from over o
      join mine m on m.task_id = o.task_id
), written as (
    update tasks t set call_order = n.next from numbered n where t.id = n.id
), moved as (
    update workflows w
       set orders = n.orders
      from (select task_id, max(next)::integer as orders from numbered group by task_id) n
     where w.task_id = n.task_id
)
select distinct holder from numbered where holder is not null;

-- name: news
-- What is over of what the server sees to, of workflows in a holder's hands, and was not told to it
-- yet: now it is.
with fresh as materialized (
    select w.task_id, w.attempt, c.position - w.base as seq, c.call_order, c.state::text as state,
           c.output, c.error, c.metadata -> 'error' as told
      from tasks t
      join workflows w on w.task_id = t.id and w.attempt = t.attempt and w.orders > w.told
      join tasks c on c.run_id = w.run_id and c.role = 'call' and c.call_order > w.told
                  and c.kind not in ('step', 'moment', 'patch', 'send', 'set', 'write')
                  and c.position > w.base and c.position < w.base + 100000
     where t.holder = %(holder)s and t.state = 'IN_PROGRESS' and t.kind = 'workflow'
     order by w.task_id, c.call_order
     limit %(limit)s
), marked as (
    update workflows w
       set told = f.last
      from (select task_id, max(call_order) as last from fresh group by task_id) f
     where w.task_id = f.task_id
)
select task_id, attempt, seq, call_order, state, output, error, told from fresh;

-- name: tell_anew
-- A program has greeted: what it was told since the offers may have been lost.
update workflows w
   set told = w.offered
  from tasks t
 where t.holder = %(holder)s and t.state = 'IN_PROGRESS' and t.kind = 'workflow'
   and w.task_id = t.id and w.told > w.offered;

-- name: calls
-- What is known of some calls of workflows, and where they lie.
select k.task_id, k.seq, w.base, c.call_order, c.state::text as state, c.output, c.error,
       c.metadata -> 'error' as told
  from unnest(%(tasks)s::bigint[], %(seqs)s::integer[]) as k (task_id, seq)
  join workflows w on w.task_id = k.task_id
  left join lateral (
    select call_order, state, output, error, metadata
      from tasks
     where run_id = w.run_id and position = w.base + k.seq
     limit 1
  ) as c on true;

-- name: have_calls
-- A workflow that has called something ends only when somebody has looked at what that does.
update tasks set judged = true where id = any(%(tasks)s::bigint[]) and not judged;

-- name: diverged
update workflows set diverged = %(told)s where task_id = %(task)s;

-- name: drop_from
-- From which result on the history of a workflow that failed, or was stopped, is done again: the last
-- call that failed, or the first that was stopped.
select w.task_id, w.run_id, w.base,
       (select max(top) + 100000 from workflows o where o.run_id = w.run_id)::integer as attic,
       (select least(
                   max(c.call_order) filter (where c.state = 'FAILED'),
                   min(c.call_order) filter (
                       where c.state = 'STOPPED' and not coalesce(c.metadata ? 'given_up', false)
                   )
               )
          from tasks c
         where c.run_id = w.run_id and c.position > w.base and c.position < w.base + 100000
       ) as cut
  from workflows w
 where w.task_id = %(task)s
   for no key update of w;

-- name: put_away
-- Calls from a result on are those of a round before. What is not over stays where it is: the code
-- comes by again.
update tasks
   set position = position - %(base)s::integer + %(attic)s::integer
 where run_id = %(run)s and position > %(base)s::integer
   and position < %(base)s::integer + 100000
   and call_order >= %(cut)s::integer;

-- name: rewind
update workflows
   set base = %(base)s, top = %(top)s, orders = %(orders)s, diverged = null
 where task_id = %(task)s;

-- name: copy
-- A fork begins with what its model knew below a number; under the lock of its run, before anybody
-- is offered it. Results keep their order.
with model as materialized (
    select w.run_id, w.base, w.version
      from workflows w
     where w.task_id = %(model)s
), copied as (
    insert into tasks (
        run_id, position, name, kind, state, queue, rank, required, needed, open, passed,
        successors, settles, judged, on_lost, attempt, counted, invocation, exit_code, output,
        error, metadata, started_at, finished_at, role, of, item, call_order
    )
    select t.run_id, 1000000000 + c.position - m.base, c.name, c.kind, c.state, c.queue, c.rank, 0, 0, 0,
           c.passed, '{}', false, true, c.on_lost, c.attempt, c.counted, c.invocation, c.exit_code,
           c.output, c.error, c.metadata, c.started_at, c.finished_at, 'call', t.position, c.item,
           row_number() over (order by c.call_order)
      from model m
      join tasks t on t.id = %(task)s
      join tasks c on c.run_id = m.run_id and c.position > m.base
                  and c.position < m.base + %(from_seq)s::integer
     where c.call_order is not null
    returning call_order
), told as (
    insert into run_tellings (run_id, kind, name, value, task_id, seq, at)
    select t.run_id, n.kind, n.name, n.value, t.id, n.seq, n.at
      from run_tellings n
      join tasks t on t.id = %(task)s
     where n.task_id = %(model)s and n.seq < %(from_seq)s
     order by n.id
)
insert into workflows (task_id, run_id, base, top, attempt, proof, orders, version)
select t.id, t.run_id, 1000000000, 1000000000, 0, '\x',
       (select coalesce(max(call_order), 0) from copied), m.version
  from tasks t, model m
 where t.id = %(task)s
returning orders;

-- name: workflow_tasks
select id, name, position
  from tasks
 where run_id = %(run)s and kind = 'workflow' and role = 'task' and position < 1000000000
 order by position;

-- name: fork_of
update runs set forked_from = %(model)s, forked_seq = %(from_seq)s where id = %(run)s;

-- name: forks
-- What a run was forked from, and what was forked from it, the newest first.
select id, type, state::text as state, created_at, forked_seq, 'fork' as kind
  from (select id, type, state, created_at, forked_seq
          from runs
         where forked_from = %(run)s
         order by id desc
         limit %(limit)s) as forks
union all
select m.id, m.type, m.state::text, m.created_at, r.forked_seq, 'model'
  from runs r
  join runs m on m.id = r.forked_from
 where r.id = %(run)s;

-- name: of_run
-- The workflows of a run, each with what was called in its present round.
select t.id as task_id, t.name, t.position, t.state::text as state, w.attempt, w.replays, w.version,
       w.orders, w.diverged, w.base,
       (select count(*)
          from tasks c
         where c.run_id = w.run_id and c.position > w.base and c.position < w.base + 100000
       )::integer as calls
  from workflows w
  join tasks t on t.id = w.task_id
 where w.run_id = %(run)s
 order by t.position
 limit %(limit)s;

-- name: why_failed
-- Of the first task of a run that failed for good, what the program said that had it in hand.
select a.detail -> 'error' as error
  from (
        select id, attempt
          from tasks
         where run_id = %(run)s and position < 1000000000 and state = 'FAILED' and passed is not true
         order by finished_at, position
         limit 1
       ) as t
  join attempts a on a.task_id = t.id and a.number = t.attempt
 where jsonb_typeof(a.detail -> 'error') = 'object';

-- name: present
select id from runs where id = any(%(runs)s::uuid[]);

-- name: full
-- Those of these runs that have as many messages waiting as a run may have.
select r.run_id
  from unnest(%(runs)s::uuid[]) as r (run_id)
 where (
        select count(*)
          from (select from mailbox m where m.run_id = r.run_id and m.taken_by is null limit %(most)s)
            as few
       ) >= %(most)s;

-- name: send
-- Each key once, whoever sends it; those that were new come back.
insert into mailbox (run_id, topic, key, body, sent_by)
select m.run_id, m.topic, m.key, m.body, m.sent_by
  from unnest(
    %(runs)s::uuid[], %(topics)s::text[], %(keys)s::text[], %(bodies)s::jsonb[],
    %(senders)s::text[]
  ) with ordinality as m (run_id, topic, key, body, sent_by, place)
 where exists (select from runs where id = m.run_id)
 order by m.place
on conflict (run_id, key) where key is not null do nothing
returning id, run_id, topic, key, sent_by, sent_at;

-- name: message
select id, topic, key, sent_by, sent_at
  from mailbox
 where run_id = %(run)s and key = %(key)s;

-- name: deal
-- To the calls of some runs that wait for messages, what there is for them: the first who asked has
-- the first that was sent. The runs are locked by the caller.
with waiting as materialized (
    select id, run_id, invocation ->> 'topic' as topic,
           row_number() over (partition by run_id, invocation ->> 'topic' order by id) as place
      from tasks
     where run_id = any(%(runs)s::uuid[]) and role = 'call' and kind = 'recv'
       and state in ('PENDING', 'WAITING', 'READY', 'IN_PROGRESS') and reason = 'signal'
), there as materialized (
    select w.run_id, w.topic, m.id, m.place
      from (select run_id, topic, count(*) as calls from waiting group by run_id, topic) w
     cross join lateral (
        select id, row_number() over (order by id) as place
          from (select id
                  from mailbox
                 where run_id = w.run_id and topic = w.topic and taken_by is null
                 order by id
                 limit w.calls) as oldest
     ) as m
)
update mailbox m
   set taken_by = w.id, taken_at = clock_timestamp()
  from waiting w
  join there t on t.run_id = w.run_id and t.topic = w.topic and t.place = w.place
 where m.id = t.id
returning m.taken_by as task_id, m.run_id, m.body;

-- name: messages
select m.id, m.topic, m.key, m.body, m.sent_by, m.sent_at, m.taken_at, t.name as taken_by
  from mailbox m
  left join tasks t on t.id = m.taken_by
 where m.run_id = %(run)s and m.id > %(after)s
   and (%(topic)s::text is null or m.topic = %(topic)s)
 order by m.id
 limit %(limit)s;

-- name: tell
insert into run_tellings (run_id, kind, name, value, task_id, seq)
select w.run_id, n.kind, n.name, n.value, n.task_id, n.seq
  from unnest(
    %(tasks)s::bigint[], %(seqs)s::integer[], %(kinds)s::text[], %(names)s::text[],
    %(values)s::jsonb[]
  ) with ordinality as n (task_id, seq, kind, name, value, place)
  join workflows w on w.task_id = n.task_id
 order by n.place
returning run_id, kind;

-- name: tellings
-- What a run told, in the order in which it did.
select id, name, value, at
  from run_tellings
 where run_id = %(run)s and kind = %(kind)s and name = %(name)s and id > %(after)s
 order by id
 limit %(limit)s;

-- name: newest
-- The newest value under each key.
select distinct on (name) id, name, value, at
  from run_tellings
 where run_id = %(run)s and kind = 'value' and name > %(after)s
 order by name, id desc
 limit %(limit)s;

-- name: telling
select value from run_tellings where id = %(telling)s;

-- name: streams
-- The streams of a run: one probe for each.
with recursive each as (
    (select name from run_tellings where run_id = %(run)s and kind = 'stream' order by name limit 1)
    union all
    select (select n.name
              from run_tellings n
             where n.run_id = %(run)s and n.kind = 'stream' and n.name > e.name
             order by n.name
             limit 1)
      from each e
     where e.name is not null
)
select name from each where name is not null limit %(limit)s;

-- name: inquire
insert into inquiries (task_id, run_id, about, kind, name)
values (%(task)s, %(run)s, %(about)s, %(kind)s, %(name)s)
on conflict (task_id) do update set about = excluded.about, kind = excluded.kind, name = excluded.name;

-- name: answerable
-- What is asked about runs that the caller has locked, and can be answered: by a telling, or by an end.
with asked as materialized (
    select q.task_id, q.run_id, q.about, q.kind, v.id as telling, r.finished_at is not null as ended
      from inquiries q
      join runs r on r.id = q.about
      left join lateral (
        select id
          from run_tellings
         where run_id = q.about and kind = 'value' and name = q.name
         order by id desc
         limit 1
      ) as v on q.kind = 'value'
     where q.about = any(%(runs)s::uuid[])
), answered as (
    delete from inquiries i
     using asked a
     where i.task_id = a.task_id and (case a.kind when 'value' then a.telling is not null else a.ended end)
    returning a.task_id, a.run_id, a.about, a.telling
), awaited as (
    update runs set awaited = true
     where id = any(array(select about from asked where kind = 'end' and not ended)) and not awaited
)
select task_id, run_id, about, telling from answered;
