-- What is to be started when, and what became of each tick.

create type tick_state as enum ('STARTED', 'QUEUED', 'SKIPPED', 'MISSED', 'MERGED', 'FAILED');

-- `next_tick` is the tick that is decided on next, `next_at` when somebody is to look at it: later
-- by its jitter, or while what was missed is caught up slowly. Whoever moves a schedule on, or
-- writes a tick of it, has locked its row.
create table schedules (
    id           bigint      generated always as identity primary key,
    name         text        not null check (length(name) between 1 and 63),
    type         text        references process_types,
    record_id    text        references process_records on delete cascade,
    spec         jsonb       not null,
    declared     jsonb,
    origin       text        not null check (origin in ('definition', 'person', 'record')),
    version      integer     not null default 1,
    paused_at    timestamptz,
    paused_until timestamptz,
    paused_by    text,
    note         text,
    next_tick    timestamptz,
    next_at      timestamptz,
    queued       timestamptz,
    living       uuid[]      not null default '{}',
    last_tick    timestamptz,
    created_at   timestamptz not null default clock_timestamp(),
    created_by   text        not null,
    updated_at   timestamptz not null default clock_timestamp(),
    constraint of_a_type_or_a_record check (num_nonnulls(type, record_id) = 1),
    constraint paused_by_somebody check ((paused_at is null) = (paused_by is null)),
    constraint looked_at_only_for_a_tick check (next_at is null or next_tick is not null)
) with (
    fillfactor = 60, -- each tick moves it on, in place where nothing indexed changes
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
create unique index schedules_of_type on schedules (type, name) where type is not null;
create unique index schedules_of_record on schedules (record_id, name) where record_id is not null;
-- What the clock reads: dormant schedules cost it nothing.
create index schedules_due on schedules (next_at) where next_at is not null;
create index schedules_waiting on schedules (id) where queued is not null;

-- One fate for each tick, whatever happens to whom: that is the primary key. A row with `until`
-- stands for all ticks from its own up to there.
create table ticks (
    schedule_id bigint      not null references schedules on delete cascade,
    tick        timestamptz not null,
    kind        text        not null check (kind in ('time', 'trigger', 'backfill')),
    state       tick_state  not null,
    reason      text,
    run_id      uuid,
    due_at      timestamptz not null,
    until       timestamptz,
    decided_at  timestamptz not null default clock_timestamp(),
    primary key (schedule_id, tick),
    constraint started_means_a_run check ((state = 'STARTED') = (run_id is not null)),
    constraint says_why_it_was_not_started check (
        state in ('STARTED', 'QUEUED') or reason is not null
    )
);
create index ticks_by_decision on ticks using brin (decided_at)
    with (pages_per_range = 32, autosummarize = on);
create index ticks_of_run on ticks (run_id) where run_id is not null;

-- A range of ticks that somebody wants to be run after all, at a bounded pace.
create table backfills (
    id          bigint      generated always as identity primary key,
    schedule_id bigint      not null references schedules on delete cascade,
    from_at     timestamptz not null,
    until_at    timestamptz not null check (until_at > from_at),
    per_minute  integer     not null check (per_minute between 1 and 6000),
    at_once     integer     not null check (at_once between 1 and 100),
    next_tick   timestamptz,
    next_at     timestamptz,
    living      uuid[]      not null default '{}',
    started     integer     not null default 0,
    passed_over integer     not null default 0,
    made_at     timestamptz not null default clock_timestamp(),
    made_by     text        not null,
    ended_at    timestamptz,
    ended_by    text
) with (fillfactor = 60);
create index backfills_due on backfills (next_at) where ended_at is null;
create index backfills_of_schedule on backfills (schedule_id, id);

-- Times in which nothing is started by any schedule; the one without an end is now.
create table schedule_stops (
    id         bigint      generated always as identity primary key,
    stopped_at timestamptz not null default clock_timestamp(),
    stopped_by text        not null,
    note       text,
    resumed_at timestamptz,
    resumed_by text
);
create unique index schedule_stops_now on schedule_stops ((true)) where resumed_at is null;
create index schedule_stops_over on schedule_stops (resumed_at);

grant select, insert, update, delete on schedules, ticks, backfills to app;
grant select, insert, update on schedule_stops to app;

create trigger audit_schedules_made after insert or delete on schedules
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
-- What the clock moves is no change that anybody made.
create trigger audit_schedules after update of spec, paused_at, paused_until, note on schedules
    for each row when (
        current_setting('procession.actor', true) <> ''
        and (old.spec, old.paused_at, old.paused_until, old.note)
            is distinct from (new.spec, new.paused_at, new.paused_until, new.note)
    )
    execute function audit_row('id');
create trigger audit_backfills after insert or update of ended_at on backfills
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_schedule_stops after insert or update on schedule_stops
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
