-- name: page
-- What happened behind a cursor, as far as nothing can still come in between: a transaction below
-- xmin has ended, and whatever it wrote is seen.
select h.xid::text as xid, h.id, h.run_id, h.seq, h.at, h.kind, h.task_id, t.name as task,
       h.attempt, h.data
  from history h
  left join tasks t on t.id = h.task_id
 where (h.xid, h.id) > (%(xid)s::text::xid8, %(id)s::bigint)
   and h.xid < pg_snapshot_xmin(pg_current_snapshot())
 order by h.xid, h.id
 limit %(limit)s;

-- name: now
-- Where a feed stands that is to tell only what is still to be committed.
select pg_snapshot_xmin(pg_current_snapshot())::text as xid;
