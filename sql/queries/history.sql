-- name: write
insert into history (run_id, seq, kind, task_id, attempt, data)
select *
  from unnest(
    %(runs)s::uuid[], %(seqs)s::integer[], %(kinds)s::text[], %(tasks)s::bigint[],
    %(attempts)s::integer[], %(data)s::jsonb[]
  );

-- name: of_run
select run_id, seq, at, kind, task_id, attempt, data
  from history
 where run_id = %(run)s and seq > %(after)s
 order by seq
 limit %(limit)s;
