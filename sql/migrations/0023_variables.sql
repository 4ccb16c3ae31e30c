-- Values that definitions read as `vars.NAME`: of the whole system, and of a record. A type's own
-- go before those of the system, a record's before both.

create table variables (
    name       text        primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$'),
    value      jsonb       not null,
    note       text        not null default '',
    version    integer     not null default 1,
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text        not null
);
grant select, insert, update, delete on variables to app;

alter table process_records add column vars jsonb not null default '{}';

create trigger audit_variables after insert or update or delete on variables
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
