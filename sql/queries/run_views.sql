-- Lists of runs as somebody looks at them: the latest that fit, whatever their states, and all that
-- go on. Both have a bound, so whatever is counted here costs no more over more runs.

-- name: facets
-- How many of them stand in each state, are of each type, and were started by what.
with near as materialized (
    select id, state, type, triggered_by
      from runs
     where (%(lowest)s::uuid is null or id >= %(lowest)s)
       and (%(below)s::uuid is null or id < %(below)s)
       and (%(type)s::text is null or type = %(type)s)
       and (%(record)s::text is null or record_id = %(record)s)
       and (%(labels)s::jsonb is null or (labels @> %(labels)s and labels <> '{}'))
       and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
       and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
       and (%(error)s::text is null
            or (error is not null and strpos(lower(error), lower(%(error)s)) > 0))
       and (%(by)s::text is null or strpos(lower(triggered_by), lower(%(by)s)) > 0)
       and (%(longer)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at >= %(longer)s)
       and (%(shorter)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at < %(shorter)s)
     order by id desc
     limit %(most)s
), going_on as materialized (
    select id, state, type, triggered_by
      from runs
     where state in ('PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING', 'COMPENSATING')
       and (%(below)s::uuid is null or id < %(below)s)
       and (%(type)s::text is null or type = %(type)s)
       and (%(record)s::text is null or record_id = %(record)s)
       and (%(labels)s::jsonb is null or (labels @> %(labels)s and labels <> '{}'))
       and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
       and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
       and (%(error)s::text is null
            or (error is not null and strpos(lower(error), lower(%(error)s)) > 0))
       and (%(by)s::text is null or strpos(lower(triggered_by), lower(%(by)s)) > 0)
       and (%(longer)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at >= %(longer)s)
       and (%(shorter)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at < %(shorter)s)
     limit %(most)s
), found as materialized (
    select state, type,
           case when triggered_by like 'schedule %%' then 'schedule'
                when triggered_by like 'trigger %%' then 'trigger'
                when triggered_by like 'run %%' then 'run'
                else 'people and programs'
           end as kind
      from (select * from near union select * from going_on) as each
)
select 'status' as facet, state::text as value, count(*) as runs from found group by state
union all
select 'type', type, count(*) from found group by type
union all
select 'by', kind, count(*) from found group by kind
union all
select 'all', '', count(*) from near;

-- name: board
-- The latest of each state, as many as a column shows.
with near as materialized (
    select id, type, record_id, round, state, error, total, open, triggered_by, created_at,
           started_at, finished_at
      from runs
     where (%(lowest)s::uuid is null or id >= %(lowest)s)
       and (%(below)s::uuid is null or id < %(below)s)
       and (%(type)s::text is null or type = %(type)s)
       and (%(record)s::text is null or record_id = %(record)s)
       and (%(labels)s::jsonb is null or (labels @> %(labels)s and labels <> '{}'))
       and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
       and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
       and (%(error)s::text is null
            or (error is not null and strpos(lower(error), lower(%(error)s)) > 0))
       and (%(by)s::text is null or strpos(lower(triggered_by), lower(%(by)s)) > 0)
       and (%(longer)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at >= %(longer)s)
       and (%(shorter)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at < %(shorter)s)
     order by id desc
     limit %(most)s
), going_on as materialized (
    select id, type, record_id, round, state, error, total, open, triggered_by, created_at,
           started_at, finished_at
      from runs
     where state in ('PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING', 'COMPENSATING')
       and (%(below)s::uuid is null or id < %(below)s)
       and (%(type)s::text is null or type = %(type)s)
       and (%(record)s::text is null or record_id = %(record)s)
       and (%(labels)s::jsonb is null or (labels @> %(labels)s and labels <> '{}'))
       and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
       and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
       and (%(error)s::text is null
            or (error is not null and strpos(lower(error), lower(%(error)s)) > 0))
       and (%(by)s::text is null or strpos(lower(triggered_by), lower(%(by)s)) > 0)
       and (%(longer)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at >= %(longer)s)
       and (%(shorter)s::interval is null
            or coalesce(finished_at, clock_timestamp()) - started_at < %(shorter)s)
     limit %(most)s
)
select id, type, record_id, round, state::text as state, left(error, 300) as error, total, open,
       triggered_by, created_at, started_at, finished_at
  from (
        select each.*, row_number() over (partition by state order by id desc) as place
          from (select * from near union select * from going_on) as each
       ) as placed
 where place <= %(each)s
 order by id desc;
