-- name: act_as
-- Says who makes the changes of this connection from now on; the triggers of `audit` read it.
select set_config('procession.actor', %(actor)s, false);

-- name: page
-- The newest first, after a cursor; null stands for no filter.
select id, at, actor, token_id, source, operation, entity, entity_id, action, before, after
  from audit
 where id < coalesce(%(after)s, 9223372036854775807)
   and (%(actor)s::text is null or actor = %(actor)s)
   and (%(entity)s::text is null or entity = %(entity)s)
   and (%(entity_id)s::text is null or entity_id = %(entity_id)s)
 order by id desc
 limit %(limit)s;
