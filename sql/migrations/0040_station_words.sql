-- What comes from workstations beside results, and what they are asked for beside holds and stops.

-- Parts of files that attempts on workstations left, until the whole is there.
create table workstation_parts (
    workstation bigint      not null references workstations on delete cascade,
    run_id      uuid        not null references runs on delete cascade,
    task_id     bigint      not null,
    attempt     integer     not null,
    number      smallint    not null,
    start       bigint      not null,
    data        bytea       not null,
    at          timestamptz not null default clock_timestamp(),
    primary key (workstation, task_id, attempt, number, start)
);
alter table workstation_parts alter column data set storage external;
create index workstation_parts_of_run on workstation_parts (run_id);
create index workstation_parts_by_age on workstation_parts (at);
grant select, insert, delete on workstation_parts to app;

-- What its agent can be asked for of runs that it decides about, and what goes along with that.
alter table workstations add column does text[] not null default '{}';
-- Why its agent is given nothing new.
alter table workstations add column unfit text not null default '';
alter table workstation_commands add column data jsonb not null default '{}';
