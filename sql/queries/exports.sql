-- name: create
insert into exports (id, what, format, filters, created_by, expires_at)
values (%(id)s, %(what)s, %(format)s, %(filters)s, %(by)s,
        clock_timestamp() + %(life)s::interval);

-- name: get
select id, what, format, filters, rows, size, created_at, created_by, done_at, expires_at, cursor
  from exports
 where id = %(id)s and expires_at > clock_timestamp();

-- name: lock
-- Whoever writes the next part has the row, and goes on where the last part ended.
select id, what, format, filters, cursor, rows,
       (select count(*) from export_parts where export = e.id)::integer as parts
  from exports e
 where id = %(id)s and done_at is null and expires_at > clock_timestamp()
   for update;

-- name: add
insert into export_parts (export, number, data) values (%(id)s, %(number)s, %(data)s);

-- name: move
update exports
   set cursor = %(cursor)s, rows = rows + %(rows)s, size = size + %(size)s,
       done_at = case when %(done)s then clock_timestamp() end
 where id = %(id)s;

-- name: part
select data from export_parts where export = %(id)s and number = %(number)s;

-- name: page
select id, what, format, filters, rows, size, created_at, created_by, done_at, expires_at
  from exports
 where expires_at > clock_timestamp() and (%(after)s::uuid is null or id < %(after)s)
 order by id desc
 limit %(limit)s;

-- name: delete
delete from exports where id = %(id)s returning id;

-- name: forget
delete from exports where expires_at <= clock_timestamp();

-- name: runs
select id::text as id, type, type_version, record_id as record, round, state::text as status,
       priority, error, labels, triggered_by, created_at, started_at, finished_at, total, failed
  from runs
 where id > coalesce(%(after)s::text::uuid, '00000000-0000-0000-0000-000000000000')
   and (%(type)s::text is null or type = %(type)s)
   and (%(status)s::text is null or state = %(status)s::text::run_state)
   and (%(low)s::uuid is null or id >= %(low)s)
   and (%(high)s::uuid is null or id < %(high)s)
 order by id
 limit %(limit)s;

-- name: history
select h.run_id::text as run, h.seq, h.at, h.kind, h.task_id as task, h.attempt, h.data
  from history h
 where h.at >= %(since)s::timestamptz and h.at < %(until)s::timestamptz
   and (h.run_id, h.seq) > (coalesce(split_part(%(after)s::text, ' ', 1)::uuid,
                                     '00000000-0000-0000-0000-000000000000'),
                            coalesce(split_part(%(after)s::text, ' ', 2)::integer, 0))
 order by h.run_id, h.seq
 limit %(limit)s;
