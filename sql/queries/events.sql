-- name: add
-- Each once for its source and id; those that were there before come back without an id.
insert into events (source, event_id, type, key, data, occurred_at, received_by)
select source, event_id, type, key, data, coalesce(occurred_at, clock_timestamp()), %(by)s
  from unnest(
    %(sources)s::text[], %(event_ids)s::text[], %(types)s::text[], %(keys)s::text[],
    %(data)s::jsonb[], %(times)s::timestamptz[]
  ) as e (source, event_id, type, key, data, occurred_at)
on conflict (source, event_id) do nothing
returning id, source, event_id;

-- name: get
select id, source, event_id, type, key, data, occurred_at, received_at, received_by
  from events
 where id = %(id)s;

-- name: page
-- The newest first, after a cursor; null stands for no filter.
select id, source, event_id, type, key, data, occurred_at, received_at, received_by
  from events
 where id < coalesce(%(after)s, 9223372036854775807)
   and (%(type)s::text is null or type = %(type)s)
   and (%(key)s::text is null or key = %(key)s)
   and (%(source)s::text is null or source = %(source)s)
 order by id desc
 limit %(limit)s;
