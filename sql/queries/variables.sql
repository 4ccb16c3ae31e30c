-- name: set
insert into variables (name, value, note, updated_by)
values (%(name)s, %(value)s, %(note)s, %(by)s)
on conflict (name) do update
   set value = excluded.value, note = excluded.note, version = variables.version + 1,
       updated_at = clock_timestamp(), updated_by = excluded.updated_by
returning (version = 1) as made;

-- name: get
select name, value, note, version, updated_at, updated_by from variables where name = %(name)s;

-- name: all
select name, value, note, version, updated_at, updated_by from variables order by name;

-- name: count
select count(*) from variables where name <> %(name)s;

-- name: delete
delete from variables where name = %(name)s returning name;

-- name: of_record
-- What a run of a record reads: those of the system, and those of its record.
select coalesce((select jsonb_object_agg(name, value) from variables), '{}') as system,
       coalesce((select vars from process_records where id = %(record)s), '{}') as record;
