-- name: wanted
-- Those of these contents that are not there yet. What is there is used from now on, so that
-- nobody takes it away before its file is.
with used as (
    update file_contents
       set used_at = clock_timestamp()
     where digest = any(%(digests)s::bytea[])
    returning digest
)
select d.digest
  from unnest(%(digests)s::bytea[]) as d (digest)
 where d.digest not in (select digest from used);

-- name: put
-- Content that may have come from somebody else meanwhile.
insert into file_contents (digest, size, data)
values (%(digest)s, %(size)s, %(data)s)
    on conflict (digest) do update set used_at = clock_timestamp();

-- name: keep
-- Files of an attempt in one holder's hands; of one that it has no more, nothing is stored. The
-- second time nothing is stored either.
insert into task_files (run_id, task_id, attempt, name, type, size, digest)
select t.run_id, t.id, t.attempt, f.name, f.type, f.size, f.digest
  from unnest(
    %(names)s::text[], %(types)s::text[], %(sizes)s::bigint[], %(digests)s::bytea[]
  ) as f (name, type, size, digest)
  join tasks t on t.id = %(task)s and t.attempt = %(attempt)s and t.holder = %(holder)s
    on conflict (task_id, attempt, name) do nothing;

-- name: page
select f.id, t.name as task, f.attempt, f.name, f.type, f.size, encode(f.digest, 'hex') as digest,
       f.kept_at
  from task_files f
  join tasks t on t.id = f.task_id
 where f.run_id = %(run)s and (f.task_id = %(task)s) is not false and f.id > %(after)s
 order by f.id
 limit %(limit)s;

-- name: find
-- The newest of this name that an attempt of the task left, or that of one attempt.
select f.id, f.name, f.type, f.size, encode(f.digest, 'hex') as digest, f.kept_at
  from task_files f
 where f.task_id = %(task)s and f.name = %(name)s and (f.attempt = %(attempt)s) is not false
 order by f.attempt desc
 limit 1;

-- name: read
-- A part of the content; it is not compressed, so only that part is read.
select substring(c.data from %(start)s::integer + 1 for %(limit)s) as data
  from task_files f
  join file_contents c using (digest)
 where f.id = %(file)s;

-- name: sweep
-- Contents that no file has any more, and that nobody has used lately.
delete from file_contents
 where digest = any(array(
        select digest
          from file_contents c
         where used_at < clock_timestamp() - interval '1 hour'
           and not exists (select from task_files f where f.digest = c.digest)
         limit %(limit)s
       ))
   and used_at < clock_timestamp() - interval '1 hour';
