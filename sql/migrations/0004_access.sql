-- Who may ask. Of a token only its SHA-256 is kept.

create type role as enum ('viewer', 'operator', 'author', 'admin', 'agent', 'worker');

create table tokens (
    id           bigint      generated always as identity primary key,
    name         text        not null,
    prefix       text        not null,
    digest       bytea       not null unique,
    role         role        not null,
    created_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);

grant select, insert, update on tokens to app;
