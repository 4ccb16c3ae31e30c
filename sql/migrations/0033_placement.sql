-- Where the tasks of a run were taken, and what is read of those that workstations carry out.

-- Where a task's definition says it for all runs.
alter table process_type_tasks add column placement jsonb;

-- The tasks of a run that go together stay with the workstation that took the first of them.
create table placements (
    run_id      uuid        not null references runs on delete cascade,
    selector    text        not null,  -- the queue from which the first was taken
    workstation text        not null,
    taken_at    timestamptz not null default clock_timestamp(),
    primary key (run_id, selector)
);

-- One probe for each queue of workstations that has something READY, whatever the collation.
create index tasks_to_place on tasks (queue collate "C", rank, ready_seq)
    where state = 'READY' and placement is not null;

-- Moments are written in one form and one zone, so their order is that of their texts.
create index tasks_to_expire on tasks ((placement ->> 'start_before') collate "C")
    where state = 'READY' and placement ->> 'start_before' is not null;

grant select, insert, update, delete on placements to app;
