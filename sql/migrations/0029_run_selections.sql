-- Runs that somebody chose at a moment, to do one thing with them and with no others.

create table run_selections (
    id         uuid        primary key,
    filters    jsonb       not null,
    runs       integer     not null,
    is_capped  boolean     not null,
    created_at timestamptz not null default clock_timestamp(),
    created_by text        not null,
    expires_at timestamptz not null,
    action     text        check (action in ('hold', 'resume', 'stop', 'retry')),
    wish       jsonb,
    begun_at   timestamptz,
    begun_by   text,
    ended_at   timestamptz,
    constraint begun_by_somebody check ((action is null) = (begun_by is null))
);
create index run_selections_expired on run_selections (expires_at);

-- What became of each. A run may be gone by then, so none is referred to.
create table runs_selected (
    selection uuid not null references run_selections on delete cascade,
    run       uuid not null,
    result    text check (result in ('done', 'skipped', 'refused', 'left')),
    detail    text,
    primary key (selection, run)
);
create index runs_undecided on runs_selected (selection, run) where result is null;

grant select, insert, update, delete on run_selections, runs_selected to app;
