-- Runs and their tasks. A task row is the queue entry itself.

create type run_state as enum (
    'PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING', 'COMPENSATING',
    'COMPLETED', 'FAILED', 'STOPPED'
);
create type task_state as enum (
    'PENDING', 'WAITING', 'READY', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'SKIPPED', 'STOPPED'
);
create type attempt_state as enum (
    'STARTED', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'STOPPED', 'LOST'
);
create type wait_reason as enum (
    'settle', 'backoff', 'timer', 'limit', 'hold', 'signal', 'approval', 'child', 'away'
);

create table process_records (
    id          text        primary key check (length(id) between 1 and 200),
    type        text        not null references process_types,
    description text        not null default '',
    input       jsonb       not null default '{}',
    priority    smallint    check (priority between 0 and 9),
    current_run uuid,
    version     integer     not null default 1,
    created_at  timestamptz not null default clock_timestamp(),
    updated_at  timestamptz not null default clock_timestamp(),
    created_by  text        not null
);
create index process_records_by_type on process_records (type, id);

create table runs (
    id           uuid        primary key,
    type         text        not null,
    type_version integer     not null,
    record_id    text,
    round        integer     not null default 1 check (round > 0),
    state        run_state   not null,
    -- What a run that is winding down becomes when nothing is in hand any more.
    ends_as      run_state   check (ends_as in ('FAILED', 'STOPPED')),
    priority     smallint    not null check (priority between 0 and 9),
    input        jsonb       not null,
    output       jsonb,
    error        text,
    labels       jsonb       not null default '{}',
    total        integer     not null check (total > 0),
    open         integer     not null check (open between 0 and total),
    failed       integer     not null default 0,
    events       integer     not null default 0,
    triggered_by text        not null,
    created_at   timestamptz not null default clock_timestamp(),
    started_at   timestamptz,
    finished_at  timestamptz,
    timeout      interval,
    due_at       timestamptz,
    foreign key (type, type_version) references process_type_versions,
    constraint final_exactly_when_finished check (
        (state in ('COMPLETED', 'FAILED', 'STOPPED')) = (finished_at is not null)
    ),
    constraint final_exactly_when_nothing_is_open check (
        (state in ('COMPLETED', 'FAILED', 'STOPPED')) = (open = 0)
    ),
    constraint winding_down_to_something check ((state <> 'STOPPING') or (ends_as is not null))
) with (
    fillfactor = 60, -- counters move with each task, in place
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);
create index runs_of_record on runs (record_id, id) where record_id is not null;
create index runs_by_type on runs (type, id);
create index runs_by_state on runs (state, id);
create index runs_due on runs (due_at) where due_at is not null;

create sequence ready_seq cache 1;

create table tasks (
    id          bigint     generated always as identity primary key,
    run_id      uuid       not null references runs on delete cascade,
    position    integer    not null,
    name        text       not null,
    kind        text       not null,
    state       task_state not null,
    reason      wait_reason,
    blocked_on  text,
    due_at      timestamptz,
    queue       text       not null,
    rank        smallint   not null,
    ready_seq   bigint,
    required    integer    not null,
    needed      integer    not null check (needed >= 0),
    open        integer    not null check (open >= 0),
    passed      boolean,
    successors  integer[]  not null,
    handler     integer,
    settles     boolean    not null,
    judged      boolean    not null,
    on_lost     text       not null,
    limit_keys  text[]     not null default '{}',
    attempt     integer    not null default 0 check (attempt >= 0),
    counted     integer    not null default 0,
    lost        integer    not null default 0,
    holder      bigint,
    wanted      text       check (wanted in ('stop', 'kill')),
    invocation  jsonb,
    exit_code   integer,
    output      jsonb,
    error       text,
    metadata    jsonb,
    started_at  timestamptz,
    finished_at timestamptz,
    constraint waiting_says_why check ((state = 'WAITING') = (reason is not null)),
    constraint held_exactly_while_in_progress check ((state = 'IN_PROGRESS') = (holder is not null)),
    constraint ready_has_its_place check (state <> 'READY' or ready_seq is not null),
    constraint passed_exactly_when_final check (
        (state in ('COMPLETED', 'FAILED', 'SKIPPED', 'STOPPED')) = (passed is not null)
    )
) with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
create unique index tasks_of_run on tasks (run_id, position);
-- What `claim` reads: READY rows alone, so finished and future ones cost it nothing.
create index tasks_to_claim on tasks (queue, rank, ready_seq) where state = 'READY';
create index tasks_in_hand on tasks (holder) where holder is not null;
create index tasks_due on tasks (due_at) where state = 'WAITING' and due_at is not null;
create index tasks_blocked on tasks (blocked_on, rank, id)
    where state = 'WAITING' and reason = 'limit';

-- Insert-only, partitioned by day, without global unique keys: the fenced update of the task in
-- the same transaction is their uniqueness.
create table attempts (
    run_id      uuid          not null,
    task_id     bigint        not null,
    number      integer       not null,
    round       integer       not null,
    state       attempt_state not null,
    counted     boolean       not null,
    holder      bigint,
    started_at  timestamptz,
    finished_at timestamptz   not null default clock_timestamp(),
    exit_code   integer,
    output      jsonb,
    error       text,
    detail      jsonb
) partition by range (finished_at);
create index on attempts (task_id);

create sequence history_id cache 100;
create table history (
    run_id  uuid        not null,
    seq     integer     not null,
    at      timestamptz not null default clock_timestamp(),
    xid     xid8        not null default pg_current_xact_id(),
    id      bigint      not null default nextval('history_id'),
    kind    text        not null,
    task_id bigint,
    attempt integer,
    data    jsonb
) partition by range (at);
create index on history (run_id, seq);

create table output_chunks (
    task_id bigint      not null,
    attempt integer     not null,
    start   bigint      not null,
    stream  smallint    not null check (stream in (1, 2)),
    data    bytea       not null,
    at      timestamptz not null default clock_timestamp()
) partition by range (at);
create index on output_chunks (task_id, attempt, start);

-- A task that gave up, until somebody decides.
create type dead_letter_state as enum ('OPEN', 'REDRIVEN', 'DISCARDED');
create table dead_letters (
    id          bigint            generated always as identity primary key,
    run_id      uuid              not null references runs on delete cascade,
    task_id     bigint            not null,
    round       integer           not null,
    type        text              not null,
    task        text              not null,
    state       dead_letter_state not null default 'OPEN',
    error       text              not null,
    fingerprint text              not null,
    input       jsonb             not null,
    output      jsonb,
    made_at     timestamptz       not null default clock_timestamp(),
    closed_at   timestamptz,
    closed_by   text,
    note        text,
    unique (task_id, round)
);
create index dead_letters_open on dead_letters (id) where state = 'OPEN';
create index dead_letters_of_run on dead_letters (run_id);

create table idempotency_keys (
    key        text        primary key,
    digest     text        not null,
    run_id     uuid        not null,
    created_at timestamptz not null default clock_timestamp()
);

-- Partition upkeep runs as owner: `app` creates no tables of its own.
create function keep_partitions(ahead integer default 7) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    parent text;
    day    date;
    part   text;
    made   integer := 0;
begin
    if not pg_try_advisory_xact_lock(hashtext('procession.keep_partitions')) then
        return 0;
    end if;
    foreach parent in array array['attempts', 'history', 'output_chunks'] loop
        for i in -1 .. ahead loop
            day := (now() at time zone 'utc')::date + i;
            part := parent || to_char(day, '_YYYYMMDD');
            if to_regclass('public.' || part) is null then
                execute format(
                    'create table public.%I partition of public.%I for values from (%L) to (%L)',
                    part, parent, day::timestamp at time zone 'utc',
                    (day + 1)::timestamp at time zone 'utc'
                );
                execute format('grant select, insert on public.%I to app', part);
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end $$;
revoke all on function keep_partitions from public;
grant execute on function keep_partitions to app;

-- What comes when upkeep has not run for a week still has a place to go.
create table attempts_default partition of attempts default;
create table history_default partition of history default;
create table output_chunks_default partition of output_chunks default;
select keep_partitions();

grant select, insert, update, delete on
    process_records, runs, tasks, dead_letters, idempotency_keys to app;
grant select, insert on
    attempts, history, output_chunks,
    attempts_default, history_default, output_chunks_default to app;
grant usage on sequence ready_seq, history_id to app;
