-- Workstations: who they are, how far each has been heard, and what each has in hand.

create type workstation_state as enum ('PENDING', 'ACCEPTED', 'REVOKED');
create type hand_stage as enum ('OFFERED', 'RUNNING', 'OVER');

create table workstations (
    id           bigint            generated always as identity primary key,
    name         text              not null unique,
    state        workstation_state not null,
    labels       jsonb             not null default '{}',   -- given by people here
    note         text,
    public_key   text              not null,                -- Ed25519: proves who speaks
    sealing_key  text,                                      -- X25519: secrets are sealed to it
    address      text,      -- where it listens, for the server that dials and for its peers
    is_dialled   boolean           not null default false,  -- the server calls it, not it the server
    holder       bigint            references holders (id),

    -- What it last told of itself.
    slots        integer           not null default 1,
    version      text              not null default '',
    facts        jsonb             not null default '{}',
    policy       jsonb             not null default '{}',
    told_labels  jsonb             not null default '{}',
    told_drain   boolean           not null default false,  -- it takes no new work by itself
    free         integer           not null default 0,      -- slots, as it last said

    -- The session: how far it has been heard. Written under the lock of this row alone.
    session      bigint            not null default 0,
    greeting     bigint            not null default 0,
    lineage      text              not null default '',
    have         bigint[]          not null default '{0,0,0,0,0}',
    safe         bigint[]          not null default '{0,0,0,0,0}',
    settled      bigint[]          not null default '{0,0,0,0,0}',  -- is safe at the next look
    settled_at   timestamptz       not null default clock_timestamp(),
    doubts       jsonb             not null default '{}',
    server       text,                                      -- which server its stream is at
    carrier      text              check (carrier in ('stream', 'poll')),
    connected_at timestamptz,
    heard_at     timestamptz,
    skew         double precision,                          -- seconds its clock is before ours
    round_trip   double precision,
    metrics      jsonb             not null default '{}',   -- the newest

    draining     boolean           not null default false,
    drain_reason text,
    drained_by   text,
    drained_at   timestamptz,

    created_at   timestamptz       not null default clock_timestamp(),
    created_by   text              not null,
    accepted_at  timestamptz,
    accepted_by  text,
    revoked_at   timestamptz,
    revoked_by   text
) with (fillfactor = 70);
create unique index workstations_holders on workstations (holder) where holder is not null;
create index workstations_labels on workstations using gin (labels jsonb_path_ops);

-- A word that lets a workstation in. The word itself is nowhere: its digest is.
create table workstation_invitations (
    id         bigint      generated always as identity primary key,
    digest     bytea       not null unique,
    name       text,                                        -- null: the machine says its own
    labels     jsonb       not null default '{}',
    approve    boolean     not null default false,          -- a person has to accept what joins
    cidr       cidr,
    uses       integer     not null default 1 check (uses >= 0),
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    created_by text        not null
);

-- What a workstation has in hand, and had: its word on what is over may still come.
create table workstation_hands (
    workstation bigint      not null references workstations (id) on delete cascade,
    task_id     bigint      not null,
    attempt     integer     not null,
    run_id      uuid        not null,
    stage       hand_stage  not null default 'OFFERED',
    offered_at  timestamptz not null default clock_timestamp(),
    accepted_at timestamptz,
    logged      bigint      not null default 0,             -- bytes of its log that are stored
    began_at    timestamptz,                                -- on the machine
    pid         bigint,
    over_at     timestamptz,
    refusal     text,                                       -- it was not taken: the kind of reason
    why         text        not null default '',            -- it was not taken, or is lost
    primary key (workstation, task_id, attempt)
) with (fillfactor = 70);
create index workstation_hands_tasks on workstation_hands (task_id, attempt);
create index workstation_hands_open on workstation_hands (workstation) where stage <> 'OVER';
create index workstation_hands_offered on workstation_hands (offered_at) where stage = 'OFFERED';
create index workstation_hands_runs on workstation_hands (run_id);

-- What somebody wants of a workstation, or of an attempt there, until it has said what became of it.
create table workstation_commands (
    id           bigint      generated always as identity primary key,
    workstation  bigint      not null references workstations (id) on delete cascade,
    verb         text        not null,
    attempt      text,                                      -- null: the whole workstation
    reason       text        not null default '',
    grace        double precision,
    asked_at     timestamptz not null default clock_timestamp(),
    asked_by     text        not null,
    expires_at   timestamptz,
    delivered_at timestamptz,
    done_at      timestamptz,
    applied      boolean,
    why          text        not null default ''
);
create index workstation_commands_attempts on workstation_commands (workstation, attempt, id)
    where attempt is not null;
create index workstation_commands_open on workstation_commands (workstation, id)
    where done_at is null;

-- When a workstation was there: one row for each stretch, the newest without an end.
create table workstation_sightings (
    workstation bigint      not null references workstations (id) on delete cascade,
    began_at    timestamptz not null default clock_timestamp(),
    ended_at    timestamptz,
    carrier     text        not null,
    why         text        not null default '',            -- it ended
    primary key (workstation, began_at)
);

-- What it measured of itself, thinned out as it ages.
create table workstation_metrics (
    workstation bigint      not null references workstations (id) on delete cascade,
    at          timestamptz not null,
    metrics     jsonb       not null,
    primary key (workstation, at)
);

-- Where a task may be carried out, and what follows when the place is out of sight; null: by any
-- worker of its queue. A run whose tasks a workstation decides about is that workstation's.
alter table tasks add column placement jsonb;
alter table runs add column workstation bigint;
create index runs_of_workstations on runs (workstation, created_at) where workstation is not null;

-- The server where its stream is hears that there is something to be told.
create function tell_workstation_command() returns trigger language plpgsql as $$
begin
    perform pg_notify(
        'procession', format('{"r":[],"q":["ws:%s"],"d":0,"w":0}', workstations.name)
    )
       from workstations
      where id = new.workstation;
    return null;
end
$$;
create trigger tell_workstation_command after insert on workstation_commands for each row
    execute function tell_workstation_command();

grant select, insert, update, delete
    on workstations, workstation_invitations, workstation_hands, workstation_commands,
       workstation_sightings, workstation_metrics to app;

create trigger audit_workstations
    after insert or delete
       or update of name, state, labels, note, public_key, address, is_dialled, draining, drain_reason
    on workstations
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
create trigger audit_workstation_invitations after insert or delete on workstation_invitations
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_workstation_commands after insert on workstation_commands
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');

-- Rules may speak of workstations.
alter table notification_rules drop constraint notification_rules_event_check;
alter table notification_rules add constraint notification_rules_event_check check (event in (
    'failed', 'failed_often', 'late', 'missed', 'longer', 'approval', 'dead_letters', 'cloned',
    'unreachable', 'test'
));
