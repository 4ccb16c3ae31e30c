-- name: act_as
-- Says who makes the changes of this connection from now on; the triggers of `audit` read it.
select set_config('procession.actor', %(actor)s, false);

-- name: page
-- The newest first, after a cursor; null stands for no filter. Lines lie in the order of their times,
-- but for those that were written at the same moment.
select id, at, actor, token_id, source, operation, entity, entity_id, action, before, after
  from audit
 where id < coalesce(%(after)s, 9223372036854775807)
   and (%(actor)s::text is null or actor = %(actor)s)
   and (%(entity)s::text is null or entity = %(entity)s)
   and (%(entity_id)s::text is null or entity_id = %(entity_id)s)
   and (%(action)s::text is null or action = %(action)s)
   and (%(operation)s::text is null or operation = %(operation)s)
   and (%(source)s::text is null or source = %(source)s)
   and (%(since)s::timestamptz is null
        or (at >= %(since)s
            and id >= (select id from audit where at >= %(since)s order by at, id limit 1) - 1000))
   and (%(until)s::timestamptz is null
        or (at < %(until)s
            and id <= (select id from audit where at < %(until)s order by at desc, id desc limit 1)
                      + 1000))
 order by id desc
 limit %(limit)s;

-- name: look
-- The same for people: of each change the first few fields that differ, each as far as `length`; of
-- what was made or deleted those that say something.
select a.id, a.at, a.actor, a.token_id, a.source, a.operation, a.entity, a.entity_id, a.action,
       array(
        select array[key, left(a.before ->> key, %(length)s::integer),
                     left(a.after ->> key, %(length)s::integer)]
          from (
            select jsonb_object_keys(coalesce(a.before, '{}')) as key
            union
            select jsonb_object_keys(coalesce(a.after, '{}'))
             order by key
          ) as keys
         where a.action = 'change'
            or (coalesce(a.before, a.after) ->> key is not null and key <> 'id'
                and not key like '%%\_at')
         limit %(fields)s
       ) as changes,
       (select count(*)
          from (
            select jsonb_object_keys(coalesce(a.before, '{}'))
            union
            select jsonb_object_keys(coalesce(a.after, '{}'))
          ) as keys) as fields
  from (
    select *
      from audit
     where id < coalesce(%(after)s, 9223372036854775807)
       and (%(actor)s::text is null or actor = %(actor)s)
       and (%(entity)s::text is null or entity = %(entity)s)
       and (%(entity_id)s::text is null or entity_id = %(entity_id)s)
       and (%(action)s::text is null or action = %(action)s)
       and (%(operation)s::text is null or operation = %(operation)s)
       and (%(source)s::text is null or source = %(source)s)
       and (%(since)s::timestamptz is null
            or (at >= %(since)s
                and id >= (select id from audit where at >= %(since)s order by at, id limit 1) - 1000))
       and (%(until)s::timestamptz is null
            or (at < %(until)s
                and id <= (select id from audit where at < %(until)s order by at desc, id desc limit 1)
                          + 1000))
     order by id desc
     limit %(limit)s
  ) as a
 order by a.id desc;

-- name: get
select id, at, actor, token_id, source, operation, entity, entity_id, action, before, after
  from audit
 where id = %(id)s;

-- name: entities
-- What there are changes of: one step of the index for each.
with recursive kind as (
    (select entity from audit order by entity limit 1)
    union all
    select (select a.entity from audit a where a.entity > k.entity order by a.entity limit 1)
      from kind k
     where k.entity is not null
)
select entity from kind where entity is not null;
