-- name: create
-- Of more than `most`, those that have waited longest.
with chosen as materialized (
    select id
      from dead_letters
     where state = 'OPEN'
       and (%(type)s::text is null or type = %(type)s)
       and (%(task)s::text is null or task = %(task)s)
       and (%(fingerprint)s::text is null or fingerprint = %(fingerprint)s)
       and (%(made_from)s::timestamptz is null or made_at >= %(made_from)s)
       and (%(made_to)s::timestamptz is null or made_at < %(made_to)s)
     order by id
     limit %(most)s::integer + 1
), kept as materialized (
    select id from chosen order by id limit %(most)s::integer
), selection as (
    insert into dead_letter_selections (
        id, filters, letters, is_capped, created_by, expires_at
    )
    select %(id)s, %(filters)s, (select count(*) from kept),
           (select count(*) from chosen) > %(most)s::integer,
           %(by)s, clock_timestamp() + %(life)s::interval
    returning id
)
insert into dead_letters_selected (selection, letter)
select s.id, k.id from selection s, kept k;

-- name: get
select id, filters, letters, is_capped, created_at, created_by, expires_at, action, wish, begun_at,
       begun_by
  from dead_letter_selections
 where id = %(id)s and expires_at > clock_timestamp();

-- name: begin
-- Of two who want something else of it, one is first.
update dead_letter_selections
   set action = %(action)s, wish = %(wish)s, begun_by = %(by)s, begun_at = clock_timestamp()
 where id = %(id)s and action is null;

-- name: take
-- The next few that nobody has decided on; what somebody else is at is left to them.
select letter
  from dead_letters_selected
 where selection = %(selection)s and result is null
 order by letter
 limit %(limit)s
   for update skip locked;

-- name: decide
update dead_letters_selected s
   set result = d.result, detail = d.detail
  from unnest(%(letters)s::bigint[], %(results)s::text[], %(details)s::text[])
       as d (letter, result, detail)
 where s.selection = %(selection)s and s.letter = d.letter;

-- name: progress
select result, count(*) as letters
  from dead_letters_selected
 where selection = %(selection)s
 group by result;

-- name: troubles
-- The first of those that were not done, and why.
select letter as id, result, detail
  from dead_letters_selected
 where selection = %(selection)s and result in ('skipped', 'refused')
 order by letter
 limit %(limit)s;

-- name: sample
select l.id, l.run_id, l.task_id, l.round, l.type, l.task, l.state::text as state, l.error,
       l.fingerprint, l.input, l.output, l.made_at, l.closed_at, l.closed_by, l.note
  from dead_letters_selected s
  join dead_letters l on l.id = s.letter
 where s.selection = %(selection)s
 order by s.letter
 limit %(limit)s;

-- name: members
-- What a selection holds, in its order, after a cursor.
select l.id, l.run_id, l.type, l.task, l.state::text as state, l.error, l.made_at, s.result,
       s.detail
  from dead_letters_selected s
  join dead_letters l on l.id = s.letter
 where s.selection = %(selection)s and s.letter > coalesce(%(after)s, 0)
 order by s.letter
 limit %(limit)s;

-- name: forget
-- A few at a time: whoever selects clears away what is over.
delete from dead_letter_selections
 where id in (
        select id
          from dead_letter_selections
         where expires_at <= clock_timestamp()
         order by expires_at
         limit %(limit)s
           for update skip locked
       );
