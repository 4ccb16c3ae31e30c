-- What the dashboard tells of the past and of the system itself.

-- Attempts that ended in each hour, by type: what stays when attempts and runs are removed. An
-- attempt that is over never changes, so an hour is counted once.
create table attempt_rollups (
    hour          timestamptz not null,
    type          text        not null,
    attempts      bigint      not null,
    again         bigint      not null, -- second ones and later
    failed        bigint      not null, -- did not succeed, for whatever reason
    seconds       float8      not null,
    again_seconds float8      not null,
    begun         bigint      not null, -- first attempts at tasks that need nothing before them
    waited        float8      not null, -- seconds from the starts of their runs until the claims
    primary key (hour, type)
);
grant select, insert, update, delete on attempt_rollups to app;

-- What the audit log is asked for, each newest first.
create index audit_by_time on audit (at, id);
create index audit_of_kind on audit (entity, id);

-- Connections of ours to this database, each by the name that its loop or pool gave it. `app` may
-- not see what others do; this tells when each did something, and never what.
create function connections_of_ours()
returns table (name text, place text, state text, since timestamptz, last_at timestamptz)
language sql security definer set search_path = pg_catalog, pg_temp as $$
    select substring(application_name from 12), coalesce(host(client_addr), 'this machine'),
           a.state, backend_start, state_change
      from pg_stat_activity a
     where datname = current_database() and application_name like 'procession %'
     order by application_name, backend_start
     limit 500
$$;
revoke all on function connections_of_ours from public;
grant execute on function connections_of_ours to app;

-- Statements of `app` in this database that took longest in all. The extension may not be there,
-- and may come and go. Constants are gone from them: the extension puts numbers in their place, in
-- whatever is no utility statement.
create function slow_statements(most integer)
returns table (statement text, calls bigint, total_ms float8, mean_ms float8, longest_ms float8,
               rows bigint)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if to_regclass('pg_stat_statements') is null then
        return;
    end if;
    return query execute
        'select left(s.query, 1000), s.calls, s.total_exec_time, s.mean_exec_time, s.max_exec_time,
                s.rows
           from pg_stat_statements s
           join pg_database d on d.oid = s.dbid
           join pg_roles r on r.oid = s.userid
          where d.datname = current_database() and r.rolname = ''app''
            and s.query ~* ''^\s*(--[^\n]*\n\s*)*(select|insert|update|delete|with)\y''
          order by s.total_exec_time desc
          limit $1' using most;
exception when object_not_in_prerequisite_state then
    return; -- the library is not loaded
end $$;
revoke all on function slow_statements from public;
grant execute on function slow_statements to app;
