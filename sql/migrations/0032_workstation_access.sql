-- How workstations come in, and how long they stay: what signs their tokens, what they have shown
-- before, and whom they may call.

-- One key for the whole installation, made once. Encrypted as secrets are, by a key that the database
-- never has.
create table workstation_signing (
    is_only    boolean     primary key default true check (is_only),
    public_key text        not null,
    key_id     text        not null,
    sealed     bytea       not null,
    created_at timestamptz not null default clock_timestamp()
);

-- A nonce is written down only when somebody has signed it: strangers leave nothing here.
create table workstation_nonces (
    digest      bytea       primary key,
    workstation bigint      not null references workstations (id) on delete cascade,
    expires_at  timestamptz not null
);
create index workstation_nonces_of on workstation_nonces (workstation, expires_at);

alter table workstations
    add column edition    integer     not null default 1,      -- rises with what people change
    add column peers      jsonb       not null default '{}',   -- which types it may start at whom
    add column invitation bigint,      -- the one it came with: the same key may ask again
    add column source     text,        -- the address it came from
    add column joined_at  timestamptz,
    add column key_since  timestamptz not null default clock_timestamp();
-- One key is one workstation: a disk that was copied does not become a second one.
create unique index workstations_keys on workstations (public_key);

-- `replaces`: a machine that was set up anew takes the place of the one that had the name.
alter table workstation_invitations add column replaces boolean not null default false;
create index workstation_invitations_ends on workstation_invitations (expires_at);

-- Whoever serves a workstation hears at once that it may no longer what it might: an id travels.
create trigger tell_presence after update on workstations for each row
    when ((old.state, old.public_key, old.name) is distinct from (new.state, new.public_key, new.name))
    execute function tell_presence('workstation');
create trigger tell_presence_gone after delete on workstations for each row
    execute function tell_presence('workstation');

grant select, insert, update, delete on workstation_signing, workstation_nonces to app;
