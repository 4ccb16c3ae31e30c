-- What an event starts: triggers, what each decided about each event, and what waits for its time.

alter table events add column attributes jsonb not null default '{}';

-- Events that nobody has routed yet. A row goes in the transaction that decides about its event.
create table event_backlog (
    id bigint primary key
) with (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

-- However an event gets here, by whichever version of the server, it is routed.
create function await_routing() returns trigger
language plpgsql as $$
begin
    insert into event_backlog (id) select id from new_events;
    if found then
        perform pg_notify('procession_events', '');
    end if;
    return null;
end $$;

create trigger events_are_routed
    after insert on events
    referencing new table as new_events
    for each statement
    execute function await_routing();

-- Whoever decides by what a trigger remembers, or changes that, has locked its row.
create table triggers (
    id           bigint      generated always as identity primary key,
    name         text        not null check (length(name) between 1 and 63),
    type         text        references process_types,
    record_id    text        references process_records on delete cascade,
    spec         jsonb       not null,
    declared     jsonb,
    origin       text        not null check (origin in ('definition', 'person')),
    patterns     text[]      not null check (cardinality(patterns) > 0),
    remembers    boolean     not null,
    version      integer     not null default 1,
    paused_at    timestamptz,
    paused_by    text,
    note         text,
    created_at   timestamptz not null default clock_timestamp(),
    created_by   text        not null,
    updated_at   timestamptz not null default clock_timestamp(),
    constraint of_a_type_or_a_record check (num_nonnulls(type, record_id) = 1),
    constraint paused_by_somebody check ((paused_at is null) = (paused_by is null))
);
create unique index triggers_of_type on triggers (type, name) where type is not null;
create unique index triggers_of_record on triggers (record_id, name) where record_id is not null;

create type trigger_fate as enum (
    'STARTED', 'WAITING', 'MERGED', 'THROTTLED', 'DEDUPED', 'SKIPPED', 'FAILED'
);

-- One fate for each event that a trigger wanted, whatever happens to whom: that is the primary key.
create table trigger_decisions (
    trigger_id bigint       not null references triggers on delete cascade,
    event_id   bigint       not null,
    fate       trigger_fate not null,
    run_id     uuid,
    waiting    bigint,
    reason     text,
    decided_at timestamptz  not null default clock_timestamp(),
    primary key (trigger_id, event_id),
    constraint a_run_when_it_started check (fate <> 'STARTED' or run_id is not null),
    constraint says_why_it_started_nothing check (
        fate in ('STARTED', 'WAITING') or reason is not null
    ),
    constraint waits_for_something check ((fate = 'WAITING') = (waiting is not null))
);
create index trigger_decisions_of_event on trigger_decisions (event_id);
create index trigger_decisions_of_run on trigger_decisions (run_id) where run_id is not null;
create index trigger_decisions_waiting on trigger_decisions (waiting) where waiting is not null;

-- Starts that wait: until it is quiet, until there are enough, or until it is their turn. The last
-- event's input is here; that of gathered events is made when they start.
create table pending_starts (
    id         bigint      generated always as identity primary key,
    trigger_id bigint      not null references triggers on delete cascade,
    kind       text        not null check (kind in ('debounce', 'batch', 'queue')),
    key        text        not null,
    turn       text,
    gathers    boolean     not null,
    input      jsonb       not null,
    events     integer     not null check (events > 0),
    size       bigint      not null,
    last_event bigint      not null,
    first_at   timestamptz not null,
    due_at     timestamptz not null
);
create unique index pending_starts_open on pending_starts (trigger_id, key)
 where kind in ('debounce', 'batch');
create index pending_starts_due on pending_starts (due_at);
create index pending_starts_queued on pending_starts (trigger_id, key) where kind = 'queue';

-- What a trigger remembers of a key: until when it is known, when it started, what lives of it.
create table trigger_memories (
    trigger_id bigint        not null references triggers on delete cascade,
    kind       text          not null check (kind in ('dedup', 'throttle', 'concurrency')),
    key        text          not null,
    until      timestamptz,
    times      timestamptz[] not null default '{}',
    living     uuid[]        not null default '{}',
    primary key (trigger_id, kind, key)
) with (fillfactor = 70);
create index trigger_memories_over on trigger_memories (until) where until is not null;

-- Where others may report what happened. Their keys are secrets, called by name.
create table webhooks (
    id              bigint      generated always as identity primary key,
    name            text        not null unique check (length(name) between 1 and 63),
    spec            jsonb       not null,
    version         integer     not null default 1,
    previous_until  timestamptz,
    created_at      timestamptz not null default clock_timestamp(),
    created_by      text        not null,
    updated_at      timestamptz not null default clock_timestamp()
);

grant select, insert, update, delete
   on event_backlog, triggers, trigger_decisions, pending_starts, trigger_memories, webhooks
   to app;

create trigger audit_triggers_made after insert or delete on triggers
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_triggers after update of spec, paused_at, note on triggers
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_webhooks after insert or update or delete on webhooks
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
