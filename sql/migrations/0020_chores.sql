-- Work about processes: deliveries, bulk changes, exports, upkeep. Its queue is procrastinate's.

-- include procrastinate/sql/schema.sql

-- Which of procrastinate's own migrations the database has; `migrate` applies those that a later
-- version of the package brings.
create table chore_migrations (
    name       text        primary key,
    applied_at timestamptz not null default clock_timestamp()
);
grant select on chore_migrations to app;

create function grant_chores() returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    found record;
begin
    for found in
        select c.relname, c.relkind
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relname like 'procrastinate\_%' and c.relkind in ('r', 'S')
    loop
        if found.relkind = 'r' then
            execute format('grant select, insert, update, delete on public.%I to app', found.relname);
        else
            execute format('grant usage on sequence public.%I to app', found.relname);
        end if;
    end loop;
end $$;
revoke all on function grant_chores from public;
select grant_chores();

-- Small and busy: what ended goes soon, and what it leaves must not slow the fetch.
alter table procrastinate_jobs set (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0
);
alter table procrastinate_events set (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0
);

-- What became of each attempt at a chore; written in the statement that ends it.
create table chore_history (
    id         bigint      generated always as identity primary key,
    job        bigint      not null,
    chore      text        not null,
    args       jsonb       not null,
    attempt    integer     not null,
    state      text        not null check (
        state in ('SUCCEEDED', 'FAILED', 'RETRIED', 'LOST', 'HANDED_BACK', 'MERGED', 'DELETED')
    ),
    server     text        not null,
    started_at timestamptz,
    ended_at   timestamptz not null default clock_timestamp(),
    error      text,
    trace      text
);
create index chore_history_of_job on chore_history (job, id);
create index chore_history_of_chore on chore_history (chore, id);
create index chore_history_ended on chore_history (ended_at);

-- What is done time and again. A row is due by the database's clock, for whichever server looks.
create table chore_plans (
    chore  text        primary key,
    every  interval    not null check (every >= interval '1 second'),
    due_at timestamptz not null default clock_timestamp()
);

-- How far a chore is that goes through many things.
create table chore_progress (
    job        bigint      primary key references procrastinate_jobs on delete cascade,
    done       bigint      not null default 0,
    total      bigint,
    note       text,
    updated_at timestamptz not null default clock_timestamp()
);

grant select, insert, update, delete on chore_history, chore_plans, chore_progress to app;
