-- Limits that runs take as a whole, windows of time, shares of a limit, and commands that are frozen.

-- A place is taken by a task, or by a run (keys `group:…`), or is used up until a moment
-- (keys `rate:…`, which say for how long).
alter table limit_slots
    add column run_id  uuid,
    add column free_at timestamptz,
    add column per     interval,
    add constraint taken_by_one check (num_nonnulls(task_id, run_id) <= 1);
create index limit_slots_of_runs on limit_slots (run_id) where run_id is not null;
create index limit_slots_used_up on limit_slots (free_at) where free_at is not null;

-- `group_key` is set when the run is first looked at; without a place it is not `admitted`.
alter table runs
    add column group_key text,
    add column admitted  boolean not null default true;

-- Places under limits go round between the shares that wait for them.
create index tasks_sharing on tasks (blocked_on, share, rank, id)
    where state = 'WAITING' and reason = 'limit' and share is not null;

alter table tasks drop constraint tasks_wanted_check;
alter table tasks add constraint tasks_wanted_check
    check (wanted in ('stop', 'kill', 'freeze', 'thaw'));

-- Plain success ends a run in SQL, so its place is given back here, and whoever places tasks is told.
create function leave_group() returns trigger
language plpgsql as $$
begin
    update limit_slots set run_id = null where run_id = new.id;
    perform pg_notify('procession', '{"r":[],"q":[],"d":1,"w":0}');
    return null;
end $$;

create trigger a_run_of_a_group_has_ended
    after update of state on runs
    for each row
    when (new.group_key is not null
          and new.finished_at is not null and old.finished_at is null)
    execute function leave_group();
