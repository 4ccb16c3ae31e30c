-- name: stored
-- Of each file how many bytes are there, and of all files of its attempt. What became whole is all
-- there, whatever is said of it again.
select k.task_id, k.attempt, k.number, coalesce(f.size, p.size, 0)::bigint as stored,
       (coalesce((select sum(size) from task_files
                   where task_id = k.task_id and attempt = k.attempt), 0)
        + coalesce((select sum(length(data)) from workstation_parts
                     where workstation = %(workstation)s
                       and task_id = k.task_id and attempt = k.attempt), 0))::bigint as filed
  from unnest(
    %(tasks)s::bigint[], %(attempts)s::integer[], %(numbers)s::smallint[], %(names)s::text[]
  ) as k (task_id, attempt, number, name)
  left join task_files f on f.task_id = k.task_id and f.attempt = k.attempt and f.name = k.name
  left join lateral (
    select sum(length(data)) as size
      from workstation_parts
     where workstation = %(workstation)s and task_id = k.task_id and attempt = k.attempt
       and number = k.number
  ) as p on true;

-- name: put
-- Only of an attempt that was in this workstation's hands.
insert into workstation_parts (workstation, run_id, task_id, attempt, number, start, data)
select h.workstation, h.run_id, h.task_id, h.attempt, %(number)s, %(start)s, %(data)s
  from workstation_hands h
 where h.workstation = %(workstation)s and h.task_id = %(task)s and h.attempt = %(attempt)s
    on conflict do nothing;

-- name: whole
-- The parts become a file of the run if they are what was said, and are gone in any case.
with parts as (
    delete from workstation_parts
     where workstation = %(workstation)s and task_id = %(task)s and attempt = %(attempt)s
       and number = %(number)s
    returning start, data
), joined as (
    select coalesce(string_agg(data, ''::bytea order by start), '') as data from parts
), content as (
    insert into file_contents (digest, size, data)
    select sha256(data), length(data), data from joined where sha256(data) = %(digest)s
        on conflict (digest) do update set used_at = clock_timestamp()
    returning digest, size
)
insert into task_files (run_id, task_id, attempt, name, type, size, digest)
select h.run_id, h.task_id, h.attempt, %(name)s, %(type)s, c.size, c.digest
  from content c
  join workstation_hands h
    on h.workstation = %(workstation)s and h.task_id = %(task)s and h.attempt = %(attempt)s
    on conflict (task_id, attempt, name) do nothing
returning run_id;

-- name: thin
-- Nobody sends the rest of these any more.
delete from workstation_parts
 where ctid = any(array(
        select ctid from workstation_parts
         where at < clock_timestamp() - interval '30 days'
         limit %(limit)s
       ));
