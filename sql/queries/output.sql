-- name: append
-- Chunks of attempts in one holder's hands; of one that it has no more, nothing is stored. Only
-- the holder writes them: after a lost answer it asks for `ends` and goes on from there, so no
-- byte is stored twice.
insert into output_chunks (task_id, attempt, start, stream, data)
select c.task_id, c.attempt, c.start, c.stream, c.data
  from unnest(
    %(tasks)s::bigint[], %(attempts)s::integer[], %(starts)s::bigint[], %(streams)s::smallint[],
    %(data)s::bytea[]
  ) as c (task_id, attempt, start, stream, data)
  join tasks t on t.id = c.task_id and t.attempt = c.attempt and t.holder = %(holder)s;

-- name: ends
-- How far the output of each attempt is stored.
select k.task_id, k.attempt,
       coalesce((
        select c.start + length(c.data)
          from output_chunks c
         where c.task_id = k.task_id and c.attempt = k.attempt
         order by c.start desc
         limit 1
       ), 0)::bigint as stored
  from unnest(%(tasks)s::bigint[], %(attempts)s::integer[]) as k (task_id, attempt);

-- name: read
select task_id, attempt, start, stream, data
  from output_chunks
 where task_id = %(task)s and attempt = %(attempt)s and start + length(data) > %(from)s
 order by start
 limit %(limit)s;
