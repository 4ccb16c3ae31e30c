-- name: create
insert into run_selections (id, filters, runs, is_capped, created_by, expires_at)
values (
    %(id)s, %(filters)s, cardinality(%(runs)s::uuid[]), %(is_capped)s, %(by)s,
    clock_timestamp() + %(life)s::interval
);

-- name: fill
insert into runs_selected (selection, run)
select %(id)s, run from unnest(%(runs)s::uuid[]) as chosen (run);

-- name: get
select id, filters, runs, is_capped, created_at, created_by, expires_at, action, wish, begun_at,
       begun_by, ended_at
  from run_selections
 where id = %(id)s and expires_at > clock_timestamp();

-- name: begin
-- Of two who want something else of it, one is first.
update run_selections
   set action = %(action)s, wish = %(wish)s, begun_by = %(by)s, begun_at = clock_timestamp()
 where id = %(id)s and action is null;

-- name: take
-- The next that nobody has decided on; what somebody else is at is left to them.
select run
  from runs_selected
 where selection = %(selection)s and result is null
 order by run
 limit 1
   for update skip locked;

-- name: decide
update runs_selected
   set result = %(result)s, detail = %(detail)s
 where selection = %(selection)s and run = %(run)s;

-- name: leave
-- Whatever nobody has decided on stays as it is.
update runs_selected
   set result = 'left', detail = %(detail)s
 where selection = %(selection)s and result is null;

-- name: finish
update run_selections
   set ended_at = clock_timestamp()
 where id = %(id)s and ended_at is null
   and not exists (select from runs_selected where selection = %(id)s and result is null);

-- name: progress
select result, count(*) as runs
  from runs_selected
 where selection = %(selection)s
 group by result;

-- name: page
-- Those chosen, as they are now, the newest first. What is gone has no state.
select s.run as id, s.result, s.detail, r.type, r.record_id, r.state::text as state, r.error,
       r.created_at, r.started_at, r.finished_at, r.triggered_by
  from runs_selected s
  left join runs r on r.id = s.run
 where s.selection = %(selection)s and (%(after)s::uuid is null or s.run < %(after)s)
 order by s.run desc
 limit %(limit)s;

-- name: troubles
-- The first of those that were not done, and why.
select run as id, result, detail
  from runs_selected
 where selection = %(selection)s and result in ('skipped', 'refused', 'left')
 order by run
 limit %(limit)s;

-- name: forget
-- A few at a time: whoever selects clears away what is over.
delete from run_selections
 where id in (
        select id
          from run_selections
         where expires_at <= clock_timestamp()
         order by expires_at
         limit %(limit)s
           for update skip locked
       );
