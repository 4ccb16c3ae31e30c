-- Who carries tasks out, where, and how many at once.

create type holder_state as enum ('ACTIVE', 'DRAINING', 'GONE');

-- A runner (or an agent, or a remote worker): one identity, one heartbeat, one lease.
create table holders (
    id          bigint       generated always as identity primary key,
    name        text         not null,
    kind        text         not null check (kind in ('worker', 'agent', 'remote')),
    incarnation text         not null,
    host        text         not null,
    pid         integer      not null,
    version     text         not null,
    queues      text[]       not null,
    slots       integer      not null,
    state       holder_state not null default 'ACTIVE',
    started_at  timestamptz  not null default clock_timestamp(),
    renewed_at  timestamptz  not null default clock_timestamp(),
    lease_until timestamptz  not null
) with (fillfactor = 50);
create unique index holders_living on holders (name) where state <> 'GONE';
create index holders_leases on holders (lease_until) where state <> 'GONE';

create table queues (
    name       text        primary key,
    paused_at  timestamptz,
    note       text,
    size       integer     check (size > 0),
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text
);

-- One row for each place under a limit; it names the task that has it.
create table limit_slots (
    key     text    not null,
    slot    integer not null,
    task_id bigint,
    primary key (key, slot)
);
create index limit_slots_free on limit_slots (key, slot) where task_id is null;
create index limit_slots_taken on limit_slots (task_id) where task_id is not null;

grant select, insert, update, delete on holders, queues, limit_slots to app;
