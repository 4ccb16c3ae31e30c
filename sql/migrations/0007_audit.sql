-- Who changed what, from where, and what it was before. Written by triggers in the transaction of
-- the change, so that no change comes without its line and no line without its change. `app` may
-- read it and nothing else.

create table audit (
    id        bigint      generated always as identity primary key,
    at        timestamptz not null default clock_timestamp(),
    actor     text        not null,
    token_id  bigint,
    source    text        not null,
    operation text        not null,
    entity    text        not null,
    entity_id text        not null,
    action    text        not null check (action in ('create', 'change', 'delete')),
    before    jsonb,
    after     jsonb
);
create index audit_of_entity on audit (entity, entity_id, id);
create index audit_of_actor on audit (actor, id);
grant select on audit to app;

-- What of `a` is not the same in `b`.
create function jsonb_differing(a jsonb, b jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select coalesce(jsonb_object_agg(key, value), '{}')
      from jsonb_each(a)
     where b -> key is distinct from value
$$;

-- The first argument is the column that names the row. What is secret or only counts stays out;
-- what is large is told when it is changed, not when it is made.
create function audit_row() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    who    jsonb  := current_setting('procession.actor')::jsonb;
    silent text[] := array['digest', 'open', 'failed', 'events', 'due_at', 'updated_at',
                           'last_used_at', 'renewed_at', 'lease_until', 'current_run'];
    large  text[] := array['input', 'output', 'document'];
    was    jsonb  := case when tg_op <> 'INSERT' then to_jsonb(old) - silent end;
    is_now jsonb  := case when tg_op <> 'DELETE' then to_jsonb(new) - silent end;
begin
    if tg_op = 'UPDATE' and was = is_now then
        return null;
    end if;
    insert into audit (actor, token_id, source, operation, entity, entity_id, action, before, after)
    values (
        who ->> 'actor', (who ->> 'token')::bigint, who ->> 'source', who ->> 'operation',
        tg_table_name, coalesce(is_now, was) ->> tg_argv[0],
        case tg_op when 'INSERT' then 'create' when 'UPDATE' then 'change' else 'delete' end,
        case tg_op when 'UPDATE' then jsonb_differing(was, is_now) else was end,
        case tg_op when 'UPDATE' then jsonb_differing(is_now, was) else is_now - large end
    );
    return null;
end $$;
revoke all on function audit_row from public;

alter table tokens add column scopes text[], add column created_by text;

create trigger audit_process_types after insert or update or delete on process_types
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
create trigger audit_process_type_versions after insert on process_type_versions
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('type');
create trigger audit_process_records after insert or update or delete on process_records
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_runs after insert or update or delete on runs
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_dead_letters after update or delete on dead_letters
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_queues after insert or update or delete on queues
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
create trigger audit_holders after update of state on holders
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
create trigger audit_tokens after insert or update of revoked_at, role, expires_at, scopes on tokens
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
