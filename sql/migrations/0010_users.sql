-- People with passwords, what they are signed in with, and answers that are given again.

create table users (
    id              bigint      generated always as identity primary key,
    name            text        not null unique check (name = lower(name)),
    display_name    text        not null default '',
    email           text,
    role            role        not null check (role in ('viewer', 'operator', 'author', 'admin')),
    disabled_at     timestamptz,
    password_set_at timestamptz,
    last_login_at   timestamptz,
    created_at      timestamptz not null default clock_timestamp(),
    created_by      text        not null
);

-- Apart from `users`: what shows a user can never show this.
create table passwords (
    user_id bigint primary key references users on delete cascade,
    hash    text   not null check (hash like '$argon2id$%')
);

-- Who has the clear text of a link may set the password of its user, once.
create table password_links (
    user_id    bigint      primary key references users on delete cascade,
    digest     bytea       not null unique,
    expires_at timestamptz not null,
    created_by text        not null
);

-- A session that has ended stays for a while: its address is known to be its user's.
create table sessions (
    id         bigint      generated always as identity primary key,
    digest     bytea       not null unique,
    user_id    bigint      not null references users on delete cascade,
    source     text        not null,
    agent      text        not null,
    created_at timestamptz not null default clock_timestamp(),
    seen_at    timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    ends_at    timestamptz not null,
    ended_at   timestamptz,
    check (expires_at <= ends_at)
);
create index sessions_of_user on sessions (user_id, id);
create index sessions_by_end on sessions (ends_at);

-- Tries with a password, counted before the password is looked at, so that many at once are counted
-- too.
create table sign_ins (
    key   text        primary key,
    tries integer     not null,
    since timestamptz not null default clock_timestamp()
);

-- An answer is stored in the transaction of what it tells of: a server that is killed leaves both
-- or neither.
create table answers (
    token_id   bigint      not null,
    key        text        not null,
    digest     bytea       not null,
    status     smallint,
    headers    jsonb,
    body       bytea,
    created_at timestamptz not null default clock_timestamp(),
    primary key (token_id, key)
);
create index answers_by_age on answers (created_at);

alter table tokens
    add column user_id bigint references users on delete cascade,
    add constraint tokens_of_people
        check (user_id is null or role in ('viewer', 'operator', 'author', 'admin'));
create index tokens_of_user on tokens (user_id) where user_id is not null;

create trigger audit_users
    after insert or delete
       or update of display_name, email, role, disabled_at, password_set_at on users
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');

grant select, insert, update, delete
    on users, passwords, password_links, sessions, sign_ins, answers to app;
