-- Limits that nobody may ask for any more are found quickly; what people do to chores and to what is
-- kept for how long is told.

create index tasks_limited on tasks (id)
    where limit_keys <> '{}' and state in ('PENDING', 'WAITING', 'READY', 'IN_PROGRESS');
create index runs_of_groups on runs (group_key)
    where group_key is not null and finished_at is null;

-- A chore is called by what it does, and not by the table of the queue.
create function audit_chore() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    who  jsonb := current_setting('procession.actor')::jsonb;
    was  jsonb := jsonb_build_object('chore', old.task_name, 'status', old.status,
                                     'attempts', old.attempts, 'scheduled_at', old.scheduled_at);
    is_now jsonb := case when tg_op = 'UPDATE' then
                        jsonb_build_object('chore', new.task_name, 'status', new.status,
                                           'attempts', new.attempts,
                                           'scheduled_at', new.scheduled_at) end;
begin
    insert into audit (actor, token_id, source, operation, entity, entity_id, action, before, after)
    values (
        who ->> 'actor', (who ->> 'token')::bigint, who ->> 'source', who ->> 'operation',
        'chores', old.id, case tg_op when 'UPDATE' then 'change' else 'delete' end, was, is_now
    );
    return null;
end $$;
revoke all on function audit_chore from public;

create trigger audit_chores after update of status, scheduled_at or delete on procrastinate_jobs
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_chore();
create trigger audit_retention_rules
    after insert or delete or update of keep_for, keep_last on retention_rules
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
create trigger audit_retention_details after insert or update on retention_details
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('is_only');
create trigger audit_retention_terms after insert or update on retention_terms
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('what');
