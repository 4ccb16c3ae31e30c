-- name: add
-- Each once for its source and id; those that were there before come back without an id.
insert into events (source, event_id, type, key, data, attributes, occurred_at, received_by)
select source, event_id, type, key, data, attributes, coalesce(occurred_at, clock_timestamp()), by
  from unnest(
    %(sources)s::text[], %(event_ids)s::text[], %(types)s::text[], %(keys)s::text[],
    %(data)s::jsonb[], %(attributes)s::jsonb[], %(times)s::timestamptz[], %(by)s::text[]
  ) with ordinality as e (source, event_id, type, key, data, attributes, occurred_at, by, place)
 order by place
on conflict (source, event_id) do nothing
returning id, source, event_id;

-- name: prune
-- Of the oldest, those that nobody needs any more, with what was decided about them.
with oldest as (
    select id, received_at from events order by id limit %(limit)s
), gone as (
    delete from events e
     using oldest o
     where e.id = o.id
       and o.received_at < clock_timestamp() - %(keep)s::interval
       and not exists (select from event_backlog b where b.id = e.id)
       and not exists (
            select from trigger_decisions d where d.event_id = e.id and d.waiting is not null
       )
    returning e.id
), decided as (
    delete from trigger_decisions where event_id = any(array(select id from gone))
)
select count(*) from gone;

-- name: get
select id, source, event_id, type, key, data, attributes, occurred_at, received_at, received_by
  from events
 where id = %(id)s;

-- name: page
-- The newest first, after a cursor; null stands for no filter.
select id, source, event_id, type, key, data, attributes, occurred_at, received_at, received_by
  from events
 where id < coalesce(%(after)s, 9223372036854775807)
   and (%(type)s::text is null or type = %(type)s)
   and (%(key)s::text is null or key = %(key)s)
   and (%(source)s::text is null or source = %(source)s)
 order by id desc
 limit %(limit)s;
