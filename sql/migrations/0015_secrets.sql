-- Secrets. A value stands in `secret_cells` alone, encrypted by a key that the database never has.

create table secrets (
    id           bigint      generated always as identity primary key,
    name         text        not null unique check (length(name) between 1 and 128),
    note         text        not null default '',
    grants       text[]      not null default '{}',
    version      integer     not null default 1 check (version >= 1),
    fingerprint  text        not null default '',
    created_at   timestamptz not null default clock_timestamp(),
    created_by   text        not null,
    changed_at   timestamptz not null default clock_timestamp(),
    changed_by   text        not null,
    last_used_at timestamptz
);

-- Not audited: a line there would keep what a new value is to replace.
create table secret_cells (
    secret_id bigint  primary key references secrets on delete cascade,
    version   integer not null,
    key_id    text    not null,
    sealed    bytea   not null
);
create index secret_cells_of_key on secret_cells (key_id);

-- Keys that were in use once, by what they are called: a server whose own key nobody knows must not
-- make another one.
create table secret_keys (
    id      text        primary key,
    seen_at timestamptz not null default clock_timestamp()
);

create trigger audit_secrets
    after insert or delete or update of note, grants, version on secrets
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');

grant select, insert, update, delete on secrets, secret_cells to app;
grant select, insert on secret_keys to app;
