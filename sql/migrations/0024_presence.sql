-- Whoever is let in is remembered for a moment by the servers, so these hear at once of everything
-- that changes it: a session that ended, a user or a token that may less. An id travels, never a
-- name; servers of before pass over it.

create function tell_presence() returns trigger language plpgsql as $$
begin
    perform pg_notify(
        'procession',
        format('{"r":[],"q":[],"d":0,"w":0,"p":["%s:%s"]}', tg_argv[0], old.id)
    );
    return null;
end
$$;

create trigger tell_presence after update on sessions for each row
    when (old.ended_at is distinct from new.ended_at)
    execute function tell_presence('session');
create trigger tell_presence_gone after delete on sessions for each row
    when (old.ended_at is null)
    execute function tell_presence('session');

create trigger tell_presence after update on users for each row
    when (
        (old.role, old.name, old.display_name, old.disabled_at)
        is distinct from (new.role, new.name, new.display_name, new.disabled_at)
    )
    execute function tell_presence('user');
create trigger tell_presence_gone after delete on users for each row
    execute function tell_presence('user');

create trigger tell_presence after update on tokens for each row
    when (
        (old.role, old.scopes, old.user_id, old.expires_at, old.revoked_at)
        is distinct from (new.role, new.scopes, new.user_id, new.expires_at, new.revoked_at)
    )
    execute function tell_presence('token');
create trigger tell_presence_gone after delete on tokens for each row
    execute function tell_presence('token');

-- Who has the clear text of one is let in, once: as its user, or as the admin of the machine.
create table login_links (
    id         bigint      generated always as identity primary key,
    digest     bytea       not null unique,
    user_id    bigint      references users on delete cascade,
    created_at timestamptz not null default clock_timestamp(),
    created_by text        not null,
    expires_at timestamptz not null
);
create index login_links_of_user on login_links (user_id);
grant select, insert, delete on login_links to app;
