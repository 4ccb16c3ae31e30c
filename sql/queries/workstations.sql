-- name: lock
-- Whatever is said by or to a workstation happens under this lock, and before any run is locked.
select id, name, state::text as state, labels, told_labels, sealing_key, holder, slots, session,
       opened, greeting, lineage, retired, have, safe, doubts, server, carrier, connected_at,
       heard_at, draining, told_drain, round_trip, version, skew
  from workstations
 where id = %(id)s
   for no key update;

-- name: hands
-- What it has in hand, if all of it is asked for, and what it speaks of that it once had.
select task_id, attempt, run_id, stage::text as stage, logged,
       extract(epoch from offered_at)::float8 as since
  from workstation_hands
 where workstation = %(workstation)s and stage <> 'OVER' and %(all)s
union all
select h.task_id, h.attempt, h.run_id, h.stage::text, h.logged,
       extract(epoch from h.offered_at)::float8
  from unnest(%(tasks)s::bigint[], %(attempts)s::integer[]) as k (task_id, attempt)
  join workstation_hands h
    on h.workstation = %(workstation)s and h.task_id = k.task_id and h.attempt = k.attempt
 where h.stage = 'OVER' or not %(all)s;

-- name: commands
-- Those whose fate is not known, in the order in which they were asked for.
select id, verb, attempt, reason, grace, delivered_at, data
  from workstation_commands
 where workstation = %(workstation)s and done_at is null
   and (expires_at is null or expires_at > clock_timestamp())
 order by id
 limit 500;

-- name: delivered
update workstation_commands
   set delivered_at = clock_timestamp()
 where id = any(%(ids)s) and delivered_at is null;

-- name: greet
-- A session begins: what is said in an older one counts no more. With another book, numbers begin
-- anew, and the one before it is heard no more.
update workstations
   set retired = case when %(is_new)s and lineage <> ''
                      then (retired || lineage)[greatest(1, cardinality(retired) - 98):]
                      else retired end,
       session = %(session)s, opened = %(opened)s, greeting = %(greeting)s, lineage = %(lineage)s, have = %(have)s,
       safe = %(safe)s, doubts = %(doubts)s, settled = case when %(is_new)s then %(have)s else settled end,
       slots = %(slots)s, free = %(free)s, version = %(version)s, facts = %(facts)s,
       policy = %(policy)s, does = %(does)s, unfit = %(unfit)s,
       told_labels = %(labels)s, told_drain = %(draining)s, skew = %(skew)s,
       server = %(server)s, carrier = %(carrier)s, connected_at = clock_timestamp(),
       heard_at = clock_timestamp()
 where id = %(id)s;

-- name: heard
update workstations
   set have = %(have)s, safe = %(safe)s, doubts = %(doubts)s, heard_at = clock_timestamp(),
       carrier = %(carrier)s, free = coalesce(%(free)s, free), skew = coalesce(%(skew)s, skew)
 where id = %(id)s;

-- name: set_holder
update workstations set holder = %(holder)s where id = %(id)s;

-- name: accept
update workstation_hands
   set stage = 'RUNNING', accepted_at = clock_timestamp()
 where workstation = %(workstation)s and task_id = %(task)s and attempt = %(attempt)s;

-- name: began
update workstation_hands
   set began_at = %(at)s, pid = %(pid)s
 where workstation = %(workstation)s and task_id = %(task)s and attempt = %(attempt)s
returning run_id;

-- name: close
-- Recorded, taken back or lost.
update workstation_hands h
   set stage = 'OVER', over_at = clock_timestamp(), refusal = k.refusal, why = left(k.why, 1000)
  from unnest(
    %(tasks)s::bigint[], %(attempts)s::integer[], %(refusals)s::text[], %(whys)s::text[]
  ) as k (task_id, attempt, refusal, why)
 where h.workstation = %(workstation)s and h.task_id = k.task_id and h.attempt = k.attempt;

-- name: ended
-- What was told later than it happened has ended when it did, as far as that can be.
update tasks t
   set finished_at = greatest(t.started_at, least(k.at, t.finished_at))
  from unnest(%(tasks)s::bigint[], %(attempts)s::integer[], %(ats)s::timestamptz[])
    as k (task_id, attempt, at)
 where t.id = k.task_id and t.attempt = k.attempt and t.finished_at is not null;

-- name: append_output
-- Its log comes after its result as well, so who holds the task does not matter: whose attempt it
-- was does, and that was asked for. Of a run that is gone nothing is kept.
insert into output_chunks (task_id, attempt, start, stream, data)
select k.task_id, k.attempt, k.start, k.stream, k.data
  from unnest(
    %(tasks)s::bigint[], %(attempts)s::integer[], %(starts)s::bigint[], %(streams)s::smallint[],
    %(data)s::bytea[]
  ) as k (task_id, attempt, start, stream, data)
 where exists (select from tasks t where t.id = k.task_id);

-- name: logged
update workstation_hands h
   set logged = k.logged
  from unnest(%(tasks)s::bigint[], %(attempts)s::integer[], %(logged)s::bigint[])
    as k (task_id, attempt, logged)
 where h.workstation = %(workstation)s and h.task_id = k.task_id and h.attempt = k.attempt
returning h.run_id;

-- name: done
-- What became of a command, as long as nobody has said so.
update workstation_commands
   set done_at = clock_timestamp(), applied = %(applied)s, why = left(%(why)s, 1000),
       delivered_at = coalesce(delivered_at, clock_timestamp())
 where id = %(id)s and workstation = %(workstation)s and done_at is null
returning verb, attempt;

-- name: ask_wanted
-- What people want of the attempts in its hands, once for each wish; the newest word counts.
insert into workstation_commands (workstation, verb, attempt, reason, asked_by)
select w.workstation, w.verb, w.attempt, w.reason, 'engine'
  from (
    select h.workstation, t.id || '.' || t.attempt as attempt,
           case t.wanted when 'freeze' then 'hold' when 'thaw' then 'resume' else t.wanted end
               as verb,
           case when t.wanted in ('stop', 'kill') then 'the run is being stopped' else '' end
               as reason
      from workstation_hands h
      join tasks t on t.id = h.task_id and t.attempt = h.attempt
     where h.workstation = any(%(workstations)s) and h.stage <> 'OVER' and t.wanted is not null
     order by t.id
  ) as w
 where w.verb is distinct from (
    select c.verb
      from workstation_commands c
     where c.workstation = w.workstation and c.attempt = w.attempt
     order by c.id desc
     limit 1
 )
returning workstation;

-- name: ask
insert into workstation_commands
    (workstation, verb, attempt, reason, grace, asked_by, expires_at, data)
values (
    %(workstation)s, %(verb)s, %(attempt)s, %(reason)s, %(grace)s, %(by)s,
    clock_timestamp() + %(expires_in)s::interval, %(data)s
)
returning id;

-- name: claim
-- The most urgent READY tasks of one queue, as `claim` of tasks.sql takes them, with what is written
-- down of them as offers. Sent after `lock`, so that what is counted and looked at here is true; in
-- another session, or while nothing new is wanted there, nothing is claimed; nor what is too late.
with station as materialized (
    select w.id, w.holder,
           least(
               %(limit)s::bigint,
               w.slots - (
                   select count(*) from workstation_hands h
                    where h.workstation = w.id and h.stage <> 'OVER'
               )
           ) as room
      from workstations w
     where w.id = %(workstation)s and w.state = 'ACCEPTED' and w.session = %(session)s
       and w.holder is not null and not w.draining and not w.told_drain
       and w.unfit = ''
), picked as materialized (
    select t.id
      from tasks t
     where t.state = 'READY' and t.queue = %(queue)s
       and not exists (select from queues where name = %(queue)s and paused_at is not null)
       and coalesce((t.placement ->> 'start_before')::timestamptz > clock_timestamp(), true)
     order by t.rank, t.ready_seq
     limit greatest(0, coalesce((select room from station), 0))
       for update of t skip locked
), claimed as (
    update tasks t
       set state = 'IN_PROGRESS', attempt = t.attempt + 1, holder = s.holder,
           started_at = clock_timestamp(), exit_code = null, error = null
      from station s
     where t.id = any(array(select id from picked))
    returning t.id, t.run_id, t.name, t.kind, t.attempt, t.invocation, t.queue, t.placement
), offered as (
    insert into workstation_hands (workstation, task_id, attempt, run_id)
    select s.id, c.id, c.attempt, c.run_id from station s, claimed c
)
select c.id, c.run_id, c.name, c.kind, c.attempt, c.invocation, c.queue, c.placement, r.type,
       r.type_version, r.record_id,
       case when pg_column_size(r.input) < 65536 then r.input else '{}' end as input
  from claimed c
  join runs r on r.id = c.run_id;

-- name: sealing_key
select sealing_key from workstations where id = %(id)s;

-- name: accepted
-- Where tasks may go.
select name, labels, told_labels from workstations where state = 'ACCEPTED' order by name;

-- name: ready_names
-- Of these workstations those for which something is READY by their name.
select w.id
  from workstations w
 where w.id = any(%(workstations)s)
   and exists (select from tasks t where t.state = 'READY' and t.queue = 'ws:' || w.name);

-- name: with_words
-- Of these workstations those for which there are commands that were never said.
select distinct c.workstation
  from workstation_commands c
 where c.workstation = any(%(workstations)s) and c.done_at is null and c.delivered_at is null;

-- name: overdue
-- Offers that nobody answered in time: their workstations.
select distinct workstation
  from workstation_hands
 where stage = 'OFFERED' and offered_at < clock_timestamp() - %(patience)s::interval
 order by workstation
 limit %(limit)s;

-- name: keep_heard
-- Those that were heard lately, all at once; one that is being spoken with says so itself.
with free as (
    select w.id
      from workstations w
     where w.id = any(%(ids)s)
     order by w.id
       for no key update skip locked
)
update workstations w
   set heard_at = greatest(w.heard_at, clock_timestamp() - k.ago), free = k.free,
       skew = coalesce(k.skew, w.skew)
  from free f
  join unnest(%(ids)s::bigint[], %(agos)s::interval[], %(free)s::integer[], %(skews)s::float8[])
    as k (id, ago, free, skew) on k.id = f.id
 where w.id = f.id;

-- name: facts
-- What servers keep in mind of the workstations whose streams they have.
select w.id, w.name, w.state::text as state, w.public_key, w.session, w.labels, w.draining,
       s.wanted as lacks
  from workstations w
  left join workstation_stores s on s.workstation = w.id and s.wanted <> s.has
 where w.id = any(%(ids)s);

-- name: count
-- How many may come.
select count(*) from workstations where state = 'ACCEPTED';

-- name: leave
-- Its stream has ended, if it is still the one that counts.
update workstations
   set server = null
 where id = %(id)s and session = %(session)s and server = %(server)s
returning id;

-- name: leave_all
-- A server ends: whoever was there with it is to come back elsewhere.
with gone as (
    update workstations
       set server = null
     where id = any(array(
            select id from workstations where server = %(server)s order by id for no key update
           ))
    returning id
)
update workstation_sightings s
   set ended_at = clock_timestamp(), why = 'the server was stopped'
  from gone
 where s.workstation = gone.id and s.ended_at is null;

-- name: see
-- It is there from now on, and what was seen of it before has ended.
with ended as (
    update workstation_sightings
       set ended_at = clock_timestamp(), why = %(why)s
     where workstation = %(workstation)s and ended_at is null
)
insert into workstation_sightings (workstation, began_at, carrier)
values (%(workstation)s, clock_timestamp(), %(carrier)s)
on conflict do nothing;

-- name: unsee
update workstation_sightings
   set ended_at = clock_timestamp(), why = left(%(why)s, 500)
 where workstation = %(workstation)s and ended_at is null;

-- name: measured
insert into workstation_metrics (workstation, at, metrics)
values (%(workstation)s, %(at)s, %(metrics)s)
on conflict do nothing;

-- name: measure
update workstations
   set metrics = %(metrics)s
 where id = %(id)s and coalesce((metrics ->> 'at')::float8, 0) <= (%(metrics)s::jsonb ->> 'at')::float8;

-- name: lost
-- Attempts that nobody has heard of for as long as was agreed. One that its agent stops when it is
-- alone is over soon after that; of the others a day is waited if nothing else was said. While the
-- database was away nobody could be heard.
select h.workstation, h.task_id, h.attempt, h.run_id, w.heard_at
  from workstation_hands h
  join workstations w on w.id = h.workstation
  join tasks t on t.id = h.task_id and t.attempt = h.attempt
 where h.stage = 'RUNNING'
   and w.heard_at < clock_timestamp() - case
           when t.placement ->> 'on_disconnect' = 'stop'
               then %(stopped)s::interval
                    + coalesce((t.invocation ->> 'grace')::float8, 10) * interval '1 second'
           else coalesce(
               (t.placement ->> 'lost_after')::float8 * interval '1 second', %(usual)s::interval
           )
       end
   and pg_postmaster_start_time() <= clock_timestamp() - %(settled)s::interval
 order by h.workstation, h.task_id
 limit %(limit)s;

-- name: away
-- Runs of which something is in the hands of a workstation that cannot be reached now, and since
-- when it cannot. It is a condition of an attempt, not its end.
select t.run_id, t.id as task_id, t.name as task, w.name as workstation, w.heard_at as since,
       w.heard_at + coalesce((t.placement ->> 'lost_after')::float8, 86400) * interval '1 second'
           as lost_at
  from workstation_hands h
  join workstations w on w.id = h.workstation
  join tasks t on t.id = h.task_id and t.attempt = h.attempt
 where h.run_id = any(%(runs)s) and h.stage <> 'OVER'
   and w.heard_at < clock_timestamp() - %(silence)s::interval
 order by t.id;

-- name: end_sightings
-- Those of whom nothing was heard lately were there until they were heard last. The server of a
-- stream may be gone with it.
with silent as (
    select s.workstation, s.began_at, w.heard_at
      from workstation_sightings s
      join workstations w on w.id = s.workstation
     where s.ended_at is null
       and coalesce(w.heard_at, s.began_at) < clock_timestamp() - %(silence)s::interval
     limit %(limit)s
), freed as (
    update workstations w
       set server = null
     where w.id = any(array(
            select id from workstations
             where id = any(array(select workstation from silent)) and server is not null
             order by id
               for no key update skip locked
           ))
)
update workstation_sightings s
   set ended_at = greatest(s.began_at, silent.heard_at), why = 'it fell silent'
  from silent
 where s.workstation = silent.workstation and s.began_at = silent.began_at;

-- name: settle
-- What was had at the last look is safe by now: whatever the database is restored from has it.
with due as (
    select id
      from workstations
     where settled_at < clock_timestamp() - %(after)s::interval
       and (safe, settled) is distinct from (have, have)
     order by id
     limit %(limit)s
       for no key update skip locked
)
update workstations w
   set safe = settled, settled = have, settled_at = clock_timestamp()
  from due
 where w.id = due.id;

-- name: expire_commands
-- What nobody wants any more: its time has passed, or what it was about is long over.
update workstation_commands c
   set done_at = clock_timestamp(), applied = false, why = 'it came too late'
 where c.id = any(array(
        select id
          from workstation_commands
         where done_at is null and expires_at < clock_timestamp()
         order by id
         limit %(limit)s
           for update skip locked
       ));

-- name: forget_commands
with old as (
    select id
      from workstation_commands
     where coalesce(done_at, asked_at) < clock_timestamp() - %(keep)s::interval
     limit %(limit)s
)
delete from workstation_commands c using old where c.id = old.id;

-- name: forget_sightings
with old as (
    select workstation, began_at
      from workstation_sightings
     where ended_at < clock_timestamp() - %(keep)s::interval
     limit %(limit)s
)
delete from workstation_sightings s using old
 where s.workstation = old.workstation and s.began_at = old.began_at;

-- name: forget_hands
-- What a workstation had in hand is known for as long as the run is: its word may come late.
with old as (
    select h.workstation, h.task_id, h.attempt
      from workstation_hands h
     where h.stage = 'OVER' and not exists (select from runs r where r.id = h.run_id)
     limit %(limit)s
)
delete from workstation_hands h using old
 where h.workstation = old.workstation and h.task_id = old.task_id and h.attempt = old.attempt;

-- name: thin_metrics
-- Of what is older than a day the first of each ten minutes stays, of what is older than a week the
-- first of each hour, and nothing for longer than a quarter. Looked at is what has come of age
-- lately: what is older was looked at when it did.
with aged as (
    select m.workstation, m.at,
           row_number() over (
               partition by m.workstation, date_bin(
                   m.step, m.at, timestamptz '2000-01-01 00:00+00'
               )
               order by m.at
           ) as place
      from (
        select w.id as workstation, m.at, age.step
          from workstations w
         cross join (
            values (interval '1 day', interval '10 minutes'), (interval '7 days', interval '1 hour')
         ) as age (old, step)
         cross join lateral (
            select at
              from workstation_metrics
             where workstation = w.id and at < clock_timestamp() - age.old
               and at >= clock_timestamp() - age.old - interval '2 days'
         ) as m
      ) as m
), old as (
    select workstation, at from aged where place > 1
    union all
    select w.id, m.at
      from workstations w
     cross join lateral (
        select at from workstation_metrics
         where workstation = w.id and at < clock_timestamp() - interval '90 days'
     ) as m
     limit %(limit)s
)
delete from workstation_metrics m using old
 where m.workstation = old.workstation and m.at = old.at;
