-- Runs that a workstation decides about are shown here, and decided about there.

create index runs_of_stations_living on runs (workstation) where workstation is not null and finished_at is null;

-- The parent of such a run hears of its end by the attempt that it was handed over for, or is there.
create or replace function tell_parent() returns trigger
language plpgsql as $$
begin
    if new.workstation is not null then
        return null;
    end if;
    insert into errands (run_id, task_id, kind, data)
    select new.parent_run, new.parent_task, 'child_ended', jsonb_build_object('child', new.id)
     where exists (select from runs where id = new.parent_run);
    return null;
end $$;

-- What a workstation is to have when it is alone: its types and its schedules, as it was last told,
-- and what of that it has said that it has.
create table workstation_stores (
    workstation bigint      primary key references workstations (id) on delete cascade,
    wanted      text        not null default '',            -- digest of what it is to have
    has         text        not null default '',
    content     jsonb       not null default '{}',
    made_at     timestamptz not null default clock_timestamp()
);

-- A schedule that a workstation fires, or may still fire since it has not heard yet that it is to
-- fire it no more: meanwhile nobody else does.
create table workstation_schedules (
    schedule_id bigint  primary key references schedules on delete cascade,
    workstation bigint  not null references workstations (id) on delete cascade,
    leaves      boolean not null default false
);
create index workstation_schedules_of on workstation_schedules (workstation);

-- Whether any of them has changed is asked time and again.
create index schedules_of_workstations on schedules (updated_at) where spec ? 'workstation';

grant select, insert, update, delete on workstation_stores, workstation_schedules to app;

-- What a workstation fires, the clock here leaves alone, whoever moves the schedule.
create function leave_to_workstations() returns trigger
language plpgsql as $$
begin
    if new.type is not null and (
        new.spec ? 'workstation'
        or exists (select from workstation_schedules where schedule_id = new.id)
    ) then
        new.next_at := null;
    end if;
    return new;
end $$;

create trigger a_workstation_fires_it
    before insert or update on schedules
    for each row when (new.next_at is not null)
    execute function leave_to_workstations();
