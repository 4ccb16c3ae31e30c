-- What was is forgotten quickly, calmly, and everywhere.

-- The tables that are locked, in one order and before anything else: whoever works waits for a
-- moment, and nobody in a circle.
lock table runs, tasks, errands, waits, approvals, task_files in access exclusive mode;

-- A task goes with its run, and so does what it has: one look for each run, and not three more for
-- each of its tasks.
alter table waits drop constraint waits_task_id_fkey,
    add constraint waits_run_id_fkey foreign key (run_id) references runs on delete cascade;
alter table approvals drop constraint approvals_task_id_fkey;
alter table task_files drop constraint task_files_task_id_fkey;
create index waits_of_run on waits (run_id);

-- All runs that began before `seen` have been looked at: what stayed of them is looked at again a
-- part at a time, and `again` is where the next part begins.
alter table retention_rules
    add column seen  uuid not null default '00000000-0000-0000-0000-000000000000',
    add column again uuid not null default '00000000-0000-0000-0000-000000000000';

-- What else grows with time, and for how long it is kept; null is for ever.
create table retention_terms (
    what       text        primary key check (what in ('ticks', 'rollups', 'audit')),
    keep_for   interval    check (keep_for >= interval '7 days'),
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text        not null
);
insert into retention_terms (what, keep_for, updated_by)
values ('ticks', '90 days', 'default'), ('rollups', '1100 days', 'default'), ('audit', null, 'default');
grant select, insert, update on retention_terms to app;

-- Of the oldest lines, those that are over. What people did in the last thirty days can't be taken
-- away by anybody.
create function forget_audit(until timestamptz, most integer default 1000) returns integer
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with oldest as (
        select id, at from public.audit order by id limit most
    ), gone as (
        delete from public.audit a
         using oldest o
         where a.id = o.id and o.at < least(until, clock_timestamp() - interval '30 days')
        returning a.id
    )
    select count(*)::integer from gone
$$;
revoke all on function forget_audit from public;
grant execute on function forget_audit to app;

-- A day that began before its partition was made has its rows in the one for all others: they move
-- into the new one.
create or replace function keep_partitions(ahead integer default 7) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    parent text;
    key    text;
    day    date;
    part   text;
    low    timestamptz;
    high   timestamptz;
    made   integer := 0;
begin
    if not pg_try_advisory_xact_lock(hashtext('procession.keep_partitions')) then
        return 0;
    end if;
    foreach parent in array array['attempts', 'history', 'output_chunks'] loop
        key := case parent when 'attempts' then 'finished_at' else 'at' end;
        for i in -1 .. ahead loop
            day := (now() at time zone 'utc')::date + i;
            part := parent || to_char(day, '_YYYYMMDD');
            continue when to_regclass('public.' || part) is not null;
            low := day::timestamp at time zone 'utc';
            high := (day + 1)::timestamp at time zone 'utc';
            begin
                execute format(
                    'create table public.%I partition of public.%I for values from (%L) to (%L)',
                    part, parent, low, high
                );
            exception when check_violation then
                execute format('create table public.%I (like public.%I including defaults including constraints)', part, parent);
                execute format(
                    'with late as (delete from public.%I where %I >= %L and %I < %L returning *)'
                    ' insert into public.%I select * from late',
                    parent || '_default', key, low, key, high, part
                );
                execute format(
                    'alter table public.%I attach partition public.%I for values from (%L) to (%L)',
                    parent, part, low, high
                );
            end;
            execute format('grant select, insert on public.%I to app', part);
            made := made + 1;
        end loop;
    end loop;
    return made;
end $$;

-- What came before its day had a partition and was not moved goes with that day, some rows at a
-- time.
create function forget_unparted(before date, most integer default 1000) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    parent text;
    gone   integer;
    total  integer := 0;
begin
    before := least(before, (now() at time zone 'utc')::date - 1);
    foreach parent in array array['attempts', 'history', 'output_chunks'] loop
        execute format(
            'delete from public.%I where ctid = any(array(select ctid from public.%I where %I < %L limit %s))',
            parent || '_default', parent || '_default',
            case parent when 'attempts' then 'finished_at' else 'at' end,
            before::timestamp at time zone 'utc', most
        );
        get diagnostics gone = row_count;
        total := total + gone;
    end loop;
    return total;
end $$;
revoke all on function forget_unparted from public;
grant execute on function forget_unparted to app;

-- A tick that waits for the end of a run is started when it comes: clocks are told by whoever
-- writes it. A label can be anything that somebody wrote.
create function tell_clocks() returns trigger
language plpgsql as $$
declare
    label text := new.labels ->> 'schedule';
begin
    if exists (select from schedules where record_id = new.record_id and queued is not null)
       or label ~ '^[0-9]{1,18}$'
          and exists (select from schedules where id = label::bigint and queued is not null)
    then
        perform pg_notify('procession_schedules', '');
    end if;
    return null;
end $$;

create trigger a_run_of_a_schedule_has_ended
    after update of state on runs
    for each row
    when (new.finished_at is not null and old.finished_at is null
          and (new.record_id is not null or new.labels ? 'schedule'))
    execute function tell_clocks();
