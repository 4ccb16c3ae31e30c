-- name: create_channel
insert into notification_channels (name, kind, config, secret, created_by)
values (%(name)s, %(kind)s, %(config)s, %(secret)s, %(by)s)
on conflict (name) do nothing
returning id, name, kind, config, secret, version, failures, open_until, created_at, created_by,
          updated_at;

-- name: channels
select id, name, kind, config, secret, version, failures, open_until, created_at, created_by,
       updated_at
  from notification_channels
 where %(name)s::text is null or name = %(name)s
 order by name;

-- name: change_channel
-- What it was left alone for may be what was changed.
update notification_channels
   set kind = %(kind)s, config = %(config)s, secret = %(secret)s, version = version + 1,
       failures = 0, open_until = null, updated_at = clock_timestamp()
 where name = %(name)s
   and (%(expected)s::integer is null or version = %(expected)s)
returning id;

-- name: delete_channel
delete from notification_channels where name = %(name)s returning id;

-- name: create_rule
insert into notification_rules (
    name, event, type, count, of_last, factor, after, quiet, most_a_day, channels, created_by
)
values (%(name)s, %(event)s, %(type)s, %(count)s, %(of_last)s, %(factor)s, %(after)s, %(quiet)s,
        %(most_a_day)s, %(channels)s, %(by)s)
on conflict (name) do nothing
returning id;

-- name: rules
select id, name, event, type, count, of_last, factor, after, quiet, most_a_day, channels,
       since, snoozed_until, version, created_at, created_by, updated_at
  from notification_rules
 where event <> 'test'
   and (%(name)s::text is null or name = %(name)s)
 order by name;

-- name: change_rule
update notification_rules
   set event = %(event)s, type = %(type)s, count = %(count)s, of_last = %(of_last)s,
       factor = %(factor)s, after = %(after)s, quiet = %(quiet)s, most_a_day = %(most_a_day)s,
       channels = %(channels)s, version = version + 1, updated_at = clock_timestamp()
 where name = %(name)s
   and (%(expected)s::integer is null or version = %(expected)s)
returning id;

-- name: rule_of_tests
-- What a test of one channel is written down under.
select id from notification_rules where event = 'test' order by id limit 1;

-- name: delete_rule
delete from notification_rules where name = %(name)s returning id;

-- name: snooze
update notification_rules
   set snoozed_until = %(until)s
 where name = %(name)s
returning id;

-- name: lock_rule
-- One at a time looks for what a rule speaks of.
select id, name, event, type, count, of_last, factor, after, quiet, most_a_day, channels, since,
       snoozed_until > clock_timestamp() as snoozed, clock_timestamp() as now
  from notification_rules
 where id = %(id)s
   for update skip locked;

-- name: looked
update notification_rules set since = %(at)s where id = %(id)s;

-- name: failed
-- Not of what a notification started: it would tell of itself for ever.
select 'failed ' || id || ' ' || round as key, type as subject,
       jsonb_build_object('run', id, 'type', type, 'error', left(error, 500)) as data
  from runs
 where state = 'FAILED' and finished_at >= %(since)s
   and triggered_by not like 'notification rule %%'
   and (%(type)s::text is null or type = %(type)s)
 order by finished_at
 limit 200;

-- name: failed_often
-- Types of which something failed since the last look, and of whose last few so many failed.
select 'failed_often ' || f.type || ' ' || f.latest as key, f.type as subject,
       jsonb_build_object('type', f.type, 'failed', n.failed, 'of', n.runs) as data
  from (select type, max(id::text) as latest
          from runs
         where state = 'FAILED' and finished_at >= %(since)s
           and triggered_by not like 'notification rule %%'
           and (%(type)s::text is null or type = %(type)s)
         group by type) as f
 cross join lateral (
    select count(*) filter (where state = 'FAILED') as failed, count(*) as runs
      from (select state from runs
             where type = f.type and finished_at is not null
             order by id desc limit %(of_last)s) as latest
 ) as n
 where n.failed >= %(count)s;

-- name: late
-- Started later than allowed, or not yet.
select 'late ' || t.schedule_id || ' ' || t.tick as key, coalesce(s.name, s.type, s.record_id) as subject,
       jsonb_build_object('schedule', t.schedule_id, 'tick', t.tick, 'decided', t.decided_at) as data
  from ticks t
  join schedules s on s.id = t.schedule_id
 where t.decided_at >= %(since)s and t.decided_at > t.due_at + %(after)s::interval
   and t.kind = 'time' and (%(type)s::text is null or s.type = %(type)s)
 order by t.decided_at
 limit 200;

-- name: missed
select 'missed ' || t.schedule_id || ' ' || t.tick as key, coalesce(s.name, s.type, s.record_id) as subject,
       jsonb_build_object('schedule', t.schedule_id, 'tick', t.tick, 'reason', t.reason) as data
  from ticks t
  join schedules s on s.id = t.schedule_id
 where t.decided_at >= %(since)s and t.state in ('MISSED', 'FAILED')
   and (%(type)s::text is null or s.type = %(type)s)
 order by t.decided_at
 limit 200;

-- name: longer
-- Of types that are known well enough: nineteen of twenty took less, times the factor.
select 'longer ' || r.id || ' ' || r.round as key, r.type as subject,
       jsonb_build_object('run', r.id, 'type', r.type, 'usual_seconds', u.p95) as data
  from runs r
  join (select type, sum(p95 * runs) / sum(runs) as p95
          from run_rollups
         where hour > clock_timestamp() - interval '7 days' and state = 'COMPLETED'
           and p95 is not null
         group by type
        having sum(runs) >= %(count)s) as u on u.type = r.type
 where r.state = 'IN_PROGRESS'
   and r.started_at < clock_timestamp()
                      - greatest(u.p95 * %(factor)s, 1) * interval '1 second'
   and (%(type)s::text is null or r.type = %(type)s)
 order by r.id
 limit 200;

-- name: approval
select 'approval ' || a.id as key, r.type as subject,
       jsonb_build_object('run', r.id, 'type', r.type, 'message', left(a.message, 500)) as data
  from approvals a
  join runs r on r.id = a.run_id
 where a.state = 'OPEN' and a.asked_at < clock_timestamp() - %(after)s::interval
   and (%(type)s::text is null or r.type = %(type)s)
 order by a.id
 limit 200;

-- name: dead_letters
-- Once for each doubling: of growing, not of being there.
select 'dead_letters ' || coalesce(%(type)s, '') || ' ' || floor(log(2, open))::text as key,
       coalesce(%(type)s, 'all types') as subject,
       jsonb_build_object('open', open) as data
  from (select count(*)::numeric as open
          from (select from dead_letters
                 where state = 'OPEN' and (%(type)s::text is null or type = %(type)s)
                 limit 10000) as few) as c
 where open >= %(count)s;

-- name: cloned
-- Told by the gateway, when another agent than the one it speaks with shows the same key.
select 'cloned ' || id as key, key as subject, data
  from events
 where type = 'workstation.cloned' and received_at >= %(since)s
 order by received_at
 limit 200;

-- name: unreachable
-- Once for each stretch of silence, of those that are to be there.
select 'unreachable ' || id || ' ' || round(extract(epoch from heard_at) * 1000) as key,
       name as subject,
       jsonb_build_object(
           'workstation', name, 'since', heard_at,
           'in_hand', (select count(*) from workstation_hands h
                        where h.workstation = w.id and h.stage <> 'OVER')
       ) as data
  from workstations w
 where state = 'ACCEPTED' and heard_at < clock_timestamp() - %(after)s::interval
   and heard_at >= %(since)s::timestamptz - %(after)s::interval
 order by heard_at
 limit 200;

-- name: add
-- Each thing once; silent if nobody is to be told, which is also written down.
insert into notifications (rule, key, subject, data, silent)
select %(rule)s, %(key)s, %(subject)s, %(data)s,
       case when %(snoozed)s then 'snoozed'
            when exists (select from notifications n
                          where n.rule = %(rule)s and n.subject = %(subject)s and n.silent is null
                            and n.at > clock_timestamp() - %(quiet)s::interval) then 'quiet'
            when (select count(*) from notifications n
                   where n.rule = %(rule)s and n.silent is null
                     and n.at > clock_timestamp() - interval '1 day') >= %(most)s then 'too many'
       end
on conflict (rule, key) do nothing
returning id, silent;

-- name: address
insert into notification_deliveries (notification, channel)
select %(notification)s, id from notification_channels where name = any(%(channels)s::text[])
on conflict (notification, channel) do nothing;

-- name: take
-- With a lease: whoever is cut off is followed by another one. A destination that fails again and
-- again is left alone for a while and holds up nobody.
with due as (
    select d.id
      from notification_deliveries d
      join notification_channels c on c.id = d.channel
     where d.state = 'PENDING' and d.next_at <= clock_timestamp()
       and (c.open_until is null or c.open_until <= clock_timestamp())
     order by d.next_at
     limit 1
       for update of d skip locked
), taken as (
    update notification_deliveries d
       set attempts = attempts + 1, tried_at = clock_timestamp(),
           next_at = clock_timestamp() + interval '2 minutes'
      from due
     where d.id = due.id
    returning d.id, d.notification, d.channel, d.attempts
)
select t.id, t.attempts, c.id as channel, c.name as channel_name, c.kind, c.config, c.secret,
       n.id as notification, n.subject, n.data, n.at, r.name as rule, r.event
  from taken t
  join notification_channels c on c.id = t.channel
  join notifications n on n.id = t.notification
  join notification_rules r on r.id = n.rule;

-- name: delivered
with done as (
    update notification_deliveries
       set state = 'DELIVERED', next_at = null, delivered_at = clock_timestamp(),
           answer = %(answer)s, error = null
     where id = %(id)s and attempts = %(attempts)s and state = 'PENDING'
    returning channel
)
update notification_channels
   set failures = 0, open_until = null
 where id in (select channel from done);

-- name: not_delivered
-- Five failures in a row open the circuit, for longer each time.
with failed as (
    update notification_deliveries
       set state = case when %(again)s::timestamptz is null then 'FAILED' else 'PENDING' end,
           next_at = %(again)s, error = %(error)s
     where id = %(id)s and attempts = %(attempts)s and state = 'PENDING'
    returning channel
)
update notification_channels
   set failures = failures + 1,
       open_until = case when failures + 1 >= 5 then clock_timestamp()
           + least(power(2, least(failures - 4, 10)) * interval '30 seconds', interval '30 minutes')
       end
 where id in (select channel from failed);

-- name: secret
select s.id, s.name, c.version, c.key_id, c.sealed
  from secrets s
  join secret_cells c on c.secret_id = s.id
 where s.name = %(name)s;

-- name: page
select n.id, r.name as rule, r.event, n.subject, n.data, n.at, n.silent, n.acknowledged_at,
       n.acknowledged_by
  from notifications n
  join notification_rules r on r.id = n.rule
 where (%(after)s::bigint is null or n.id < %(after)s)
   and (%(rule)s::text is null
        or n.rule = (select id from notification_rules where name = %(rule)s))
   and (not %(open)s or (n.acknowledged_at is null and n.silent is null))
 order by n.id desc
 limit %(limit)s;

-- name: get
select n.id, r.name as rule, r.event, n.subject, n.data, n.at, n.silent, n.acknowledged_at,
       n.acknowledged_by
  from notifications n
  join notification_rules r on r.id = n.rule
 where n.id = %(id)s;

-- name: acknowledge
update notifications
   set acknowledged_at = clock_timestamp(), acknowledged_by = %(by)s
 where id = %(id)s and acknowledged_at is null
returning id;

-- name: deliveries
select d.id, d.notification, n.subject, r.name as rule, r.event, c.name as channel,
       d.state as status, d.attempts, d.next_at, d.answer, d.error, d.tried_at, d.delivered_at
  from notification_deliveries d
  join notification_channels c on c.id = d.channel
  join notifications n on n.id = d.notification
  join notification_rules r on r.id = n.rule
 where (%(after)s::bigint is null or d.id < %(after)s)
   and (%(notification)s::bigint is null or d.notification = %(notification)s)
   and (%(channel)s::text is null
        or d.channel = (select id from notification_channels where name = %(channel)s))
   and (%(status)s::text is null or d.state = %(status)s)
 order by d.id desc
 limit %(limit)s;

-- name: redeliver
update notification_deliveries
   set state = 'PENDING', attempts = 0, next_at = clock_timestamp(), error = null,
       delivered_at = null
 where id = %(id)s and (state <> 'PENDING' or next_at > clock_timestamp())
returning id;

-- name: forget
delete from notifications
 where id in (select id from notifications
               where at < clock_timestamp() - interval '30 days'
               order by at
               limit %(limit)s);
