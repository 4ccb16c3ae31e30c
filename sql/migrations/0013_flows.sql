-- What makes a list of commands a process: items, undo, hooks, children, events, people.

alter type wait_reason add value if not exists 'items';

-- `of` is the position of the task that an item or an undo belongs to; a hook has a name.
alter table tasks
    add column role      text     not null default 'task'
                         check (role in ('task', 'item', 'undo', 'hook')),
    add column of        integer,
    add column item      jsonb,
    add column iteration integer  not null default 0,
    add column share     text;

alter table runs
    add column parent_run  uuid,
    add column parent_task bigint,
    add column depth       smallint not null default 0,
    add column compensated text     check (compensated in ('yes', 'partly', 'no'));
create index runs_of_parent on runs (parent_run, id) where parent_run is not null;

-- What a transaction asks of a run that it has not locked: that a child ended, an event came, a
-- parent was stopped. Whoever finds it locks the run, does it and deletes it.
create table errands (
    id      bigint      generated always as identity primary key,
    run_id  uuid        not null references runs on delete cascade,
    task_id bigint,
    kind    text        not null,
    data    jsonb       not null default '{}',
    by      text        not null default 'engine',
    made_at timestamptz not null default clock_timestamp()
);
create index errands_of_run on errands (run_id, id);

create function tell_parent() returns trigger
language plpgsql as $$
begin
    insert into errands (run_id, task_id, kind, data)
    select new.parent_run, new.parent_task, 'child_ended', jsonb_build_object('child', new.id)
     where exists (select from runs where id = new.parent_run);
    return null;
end $$;

create trigger a_child_has_ended
    after update of state on runs
    for each row
    when (new.parent_run is not null
          and new.finished_at is not null and old.finished_at is null)
    execute function tell_parent();

-- What happened elsewhere, once for each source and id.
create table events (
    id          bigint      generated always as identity primary key,
    source      text        not null check (length(source) between 1 and 500),
    event_id    text        not null check (length(event_id) between 1 and 500),
    type        text        not null check (length(type) between 1 and 200),
    key         text        not null default '',
    data        jsonb       not null default 'null',
    occurred_at timestamptz not null default clock_timestamp(),
    received_at timestamptz not null default clock_timestamp(),
    received_by text        not null,
    unique (source, event_id)
);
create index events_to_await on events (type, key, id);

-- Who waits for an event. A waiter and an event both take the lock of (type, key) before they look.
create table waits (
    task_id bigint      primary key references tasks on delete cascade,
    run_id  uuid        not null,
    type    text        not null,
    key     text        not null default '',
    after   bigint      not null default 0,
    made_at timestamptz not null default clock_timestamp()
);
create index waits_for on waits (type, key);

create type approval_state as enum ('OPEN', 'APPROVED', 'REJECTED', 'CLOSED');
create table approvals (
    id         bigint         generated always as identity primary key,
    run_id     uuid           not null references runs on delete cascade,
    task_id    bigint         not null references tasks on delete cascade,
    attempt    integer        not null,
    state      approval_state not null default 'OPEN',
    message    text           not null,
    who        text[]         not null default '{}',
    form       jsonb,
    due_at     timestamptz,
    asked_at   timestamptz    not null default clock_timestamp(),
    decided_at timestamptz,
    decided_by text,
    data       jsonb,
    note       text,
    unique (task_id, attempt),
    constraint decided_exactly_when_not_open check ((state = 'OPEN') = (decided_at is null))
);
create index approvals_open on approvals (id) where state = 'OPEN';
create index approvals_of_run on approvals (run_id);

grant select, insert, delete on errands to app;
grant select, insert, update, delete on events, waits, approvals to app;
