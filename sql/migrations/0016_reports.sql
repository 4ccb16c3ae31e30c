-- What attempts say about themselves: how far they are, and the files that they leave.

-- Of one attempt, which it names. Its holder alone writes it, and no other statement reads it.
alter table tasks add column progress jsonb;

-- Content by digest: what many attempts leave is there once.
create table file_contents (
    digest  bytea       primary key check (length(digest) = 32),
    size    bigint      not null,
    data    bytea       not null,
    used_at timestamptz not null default clock_timestamp()
);
alter table file_contents alter column data set storage external; -- often compressed already

create table task_files (
    id      bigint      generated always as identity primary key,
    run_id  uuid        not null references runs on delete cascade,
    task_id bigint      not null references tasks on delete cascade,
    attempt integer     not null,
    name    text        not null check (length(name) between 1 and 200),
    type    text,
    size    bigint      not null,
    digest  bytea       not null references file_contents,
    kept_at timestamptz not null default clock_timestamp(),
    unique (task_id, attempt, name)
);
create index task_files_of_run on task_files (run_id, id);
create index task_files_of_content on task_files (digest);

grant select, insert, update, delete on file_contents to app;
grant select, insert, delete on task_files to app;
