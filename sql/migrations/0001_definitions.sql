-- Process types, their versions, and the rows that a new run's tasks are copied from.

create table process_types (
    name       text        primary key,
    latest     integer     not null check (latest > 0),
    created_at timestamptz not null default clock_timestamp(),
    retired_at timestamptz
);

-- A published version never changes: the role `app` may not update it.
create table process_type_versions (
    type         text        not null references process_types,
    version      integer     not null check (version > 0),
    digest       text        not null,
    document     jsonb       not null,
    published_at timestamptz not null default clock_timestamp(),
    published_by text        not null,
    primary key (type, version)
);

create table process_type_tasks (
    type       text      not null,
    version    integer   not null,
    position   integer   not null,
    name       text      not null,
    kind       text      not null,
    queue      text      not null,
    priority   smallint  not null check (priority between 0 and 9),
    required   integer   not null,
    open       integer   not null,
    successors integer[] not null,
    handler    integer,
    settles    boolean   not null,
    judged     boolean   not null,
    on_lost    text      not null check (on_lost in ('retry', 'fail', 'wait')),
    invocation jsonb,
    primary key (type, version, position),
    foreign key (type, version) references process_type_versions
);

grant select, insert, update on process_types to app;
grant select, insert on process_type_versions, process_type_tasks to app;
