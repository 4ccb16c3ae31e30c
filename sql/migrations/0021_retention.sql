-- What is removed when, and files that somebody asked for.

-- A rule speaks of the runs of one type, or of all types that have no rule of their own for the
-- state. Without a rule nothing is removed.
create table retention_rules (
    id         bigint      generated always as identity primary key,
    type       text,
    state      run_state   not null check (state in ('COMPLETED', 'FAILED', 'STOPPED')),
    keep_for   interval    not null check (keep_for >= interval '1 minute'),
    keep_last  integer     check (keep_last > 0),
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text        not null
);
create unique index retention_rules_of_type on retention_rules (coalesce(type, ''), state);

-- Attempts, history and output are dropped by the day; null keeps them for ever.
create table retention_details (
    is_only    boolean     primary key default true check (is_only),
    keep_for   interval    check (keep_for >= interval '2 days'),
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text        not null
);

-- Runs of all hours, by type and state, counted when the hour is over.
create table run_rollups (
    hour    timestamptz not null,
    type    text        not null,
    state   run_state   not null,
    runs    bigint      not null,
    seconds float8      not null,
    p50     float8,
    p95     float8,
    primary key (hour, type, state)
);

create table exports (
    id         uuid        primary key,
    what       text        not null check (what in ('runs', 'history')),
    format     text        not null check (format in ('csv', 'ndjson')),
    filters    jsonb       not null,
    job        bigint,
    rows       bigint      not null default 0,
    size       bigint      not null default 0,
    cursor     text,
    created_at timestamptz not null default clock_timestamp(),
    created_by text        not null,
    done_at    timestamptz,
    expires_at timestamptz not null
);
create index exports_expired on exports (expires_at);
create table export_parts (
    export uuid    not null references exports on delete cascade,
    number integer not null,
    data   bytea   not null,
    primary key (export, number)
);
alter table export_parts alter column data set storage external;

grant select, insert, update, delete on
    retention_rules, retention_details, run_rollups, exports, export_parts to app;

-- Whole days before this one go, a partition at a time. Who writes is never kept waiting for long:
-- a partition that cannot be locked at once stays until the next time. What the last two days hold
-- can't be dropped by anybody.
create function drop_partitions(before date, most integer default 1) returns integer
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp set lock_timeout = '200ms' as $$
declare
    found   record;
    dropped integer := 0;
begin
    before := least(before, (now() at time zone 'utc')::date - 1);
    for found in
        select c.relname
          from pg_inherits i
          join pg_class c on c.oid = i.inhrelid
          join pg_class p on p.oid = i.inhparent
         where p.relnamespace = 'public'::regnamespace
           and p.relname in ('attempts', 'history', 'output_chunks')
           and c.relname ~ ('^' || p.relname || '_[0-9]{8}$')
           and right(c.relname, 8) < to_char(before, 'YYYYMMDD')
         order by right(c.relname, 8), c.relname
         limit most
    loop
        begin
            execute format('drop table public.%I', found.relname);
            dropped := dropped + 1;
        exception when lock_not_available then
            return dropped;
        end;
    end loop;
    return dropped;
end $$;
revoke all on function drop_partitions from public;
grant execute on function drop_partitions to app;
