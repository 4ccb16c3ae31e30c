-- name: lock
-- One of the servers looks at a time; the others need not.
select pg_try_advisory_xact_lock(7301944134);

-- name: watermark
-- Another text whenever something may have changed that workstations are to have.
select md5(concat_ws(
    '|',
    (select count(*) from process_type_versions),
    (select concat_ws('-', count(retired_at), max(retired_at)) from process_types),
    (select concat_ws('-', count(*), max(updated_at), count(paused_at), max(paused_at))
       from schedules
      where spec ? 'workstation'),
    (select string_agg(
                concat_ws('-', id, name, labels, told_labels, peers, public_key, address), ','
                order by id
            )
       from workstations
      where state = 'ACCEPTED'),
    (select count(*) from workstation_schedules),
    (select concat_ws('-', count(*), max(updated_at)) from variables),
    (select count(*) from schedule_stops where resumed_at is null)
));

-- name: stations
select id, name, told_labels || labels as labels, peers, public_key, address
  from workstations
 where state = 'ACCEPTED'
 order by id;

-- name: revoked
-- Those that may hold grants of others, whatever was allowed when they were revoked: what they had
-- ordered before goes on.
select name, public_key
  from workstations
 where state = 'REVOKED'
 order by revoked_at desc
 limit 500;

-- name: types
-- The newest version of each.
select distinct on (v.type) v.type as name, v.version, v.document,
       t.retired_at is not null as is_retired
  from process_type_versions v
  join process_types t on t.name = v.type
 order by v.type, v.version desc;

-- name: schedules
-- Those that people have given to workstations, and what each is to begin with.
-- While all are stopped, they are there as well.
select s.id, s.name, s.type, s.record_id, s.spec, s.next_tick, w.workstation, w.leaves,
       s.paused_at is not null or exists (select from schedule_stops where resumed_at is null)
           as is_paused
  from schedules s
  left join workstation_schedules w on w.schedule_id = s.id
 where s.type is not null and s.spec ? 'workstation'
 order by s.id;

-- name: assign
-- What nobody else fires any more.
insert into workstation_schedules (schedule_id, workstation)
select schedule_id, workstation
  from unnest(%(schedules)s::bigint[], %(workstations)s::bigint[]) as k (schedule_id, workstation)
on conflict (schedule_id) do update
   set leaves = false
 where workstation_schedules.workstation = excluded.workstation;

-- name: part
-- It may go on being fired there until the workstation has heard.
update workstation_schedules set leaves = true where schedule_id <> all(%(kept)s::bigint[]);

-- name: abandon
-- What nobody fires any more because its workstation is none any more.
delete from workstation_schedules k
 using workstations w
 where w.id = k.workstation and w.state <> 'ACCEPTED'
returning k.schedule_id;

-- name: put
insert into workstation_stores (workstation, wanted, content)
values (%(workstation)s, %(wanted)s, %(content)s)
on conflict (workstation) do update
   set wanted = excluded.wanted, content = excluded.content, made_at = clock_timestamp()
 where workstation_stores.wanted <> excluded.wanted
returning workstation;

-- name: forget
-- With another book it has nothing any more.
update workstation_stores set has = '' where workstation = %(workstation)s and has <> '';

-- name: due
-- Once it is said, the workstation may have it, though the word that it has may never come: whatever
-- it is to have after that is said, even if it is what it had before.
with said as (
    update workstation_stores
       set has = ''
     where workstation = %(workstation)s and wanted <> has and has <> ''
)
select wanted, content, extract(epoch from made_at)::float8 as at
  from workstation_stores
 where workstation = %(workstation)s and wanted <> has;

-- name: keep
-- It has what it is to have; answers what it fires no more.
with kept as (
    update workstation_stores
       set has = wanted
     where workstation = %(workstation)s and wanted = %(revision)s
    returning workstation
)
delete from workstation_schedules k
 using kept
 where k.workstation = kept.workstation and k.leaves
returning k.schedule_id;

-- name: to_rouse
select id, name, type, record_id, spec, paused_at, clock_timestamp() as now
  from schedules
 where id = any(%(schedules)s::bigint[])
 order by id
   for update;

-- name: rouse
update schedules
   set next_tick = %(next_tick)s, next_at = %(next_at)s
 where id = %(schedule)s;
