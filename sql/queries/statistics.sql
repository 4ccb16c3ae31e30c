-- Nothing here reads more than so many rows of each part of a window, or of each state.

-- name: now
select clock_timestamp() as now;

-- name: counts
-- How many runs began in each part, as far as `most`.
select (select count(*)
          from (select from runs where id >= p.low and id < p.high limit %(most)s) as few) as runs
  from unnest(%(lows)s::uuid[], %(highs)s::uuid[]) with ordinality as p (low, high, place)
 order by p.place;

-- name: ends
-- What became of the newest few of each part, each standing for `weight` of its part: by type and
-- state, by type, and of all.
select r.type, r.state::text as state, sum(p.weight)::float8 as runs,
       percentile_cont(array[0.5, 0.95]) within group (order by r.seconds) as seconds,
       max(r.seconds) as longest
  from unnest(%(lows)s::uuid[], %(highs)s::uuid[], %(weights)s::float8[]) as p (low, high, weight)
 cross join lateral (
    select type, state, extract(epoch from finished_at - started_at)::float8 as seconds
      from runs
     where id >= p.low and id < p.high
     order by id desc
     limit %(each)s
 ) as r
 group by grouping sets ((r.type, r.state), (r.type), ());

-- name: waits
-- For how long runs waited until the first of their tasks was claimed, by type and of all: the
-- newest few of each part, without those whose first task was tried again.
select r.type, percentile_cont(array[0.5, 0.95]) within group (order by r.seconds) as seconds,
       max(r.seconds) as longest
  from unnest(%(lows)s::uuid[], %(highs)s::uuid[]) as p (low, high)
 cross join lateral (
    select few.type, (
            select extract(epoch from min(t.started_at) - few.created_at)::float8
              from tasks t
             where t.run_id = few.id and t.required = 0 and t.attempt = 1
               and t.position < 1000000000
        ) as seconds
      from (
        select id, type, created_at
          from runs
         where id >= p.low and id < p.high and round = 1
         order by id desc
         limit %(each)s
     ) as few
 ) as r
 where r.seconds is not null
 group by grouping sets ((r.type), ());

-- name: living
-- Runs that have not ended, whenever they began, as far as `most` of each state. Said as a range in the
-- order of its index, so that nobody is tempted to look for a few among all.
select s.state::text as state,
       (select count(*)
          from (
            select
              from runs
             where state >= s.state and state <= s.state
             order by state
             limit %(most)s
          ) as few) as runs
  from unnest(array['PENDING', 'IN_PROGRESS', 'HOLDING', 'HELD', 'STOPPING',
                    'COMPENSATING']::run_state[]) as s (state);

-- name: letters
-- Dead letters that are open, and those that the window made, as far as `most`.
select (select count(*)
          from (select from dead_letters where state = 'OPEN' limit %(most)s) as few) as open,
       (select count(*)
          from (select from dead_letters where made_at >= %(since)s limit %(most)s) as few) as made;

-- name: oldest
-- In each queue what has been READY longest; one step of the index for each queue and rank.
with recursive queue as (
    (select queue from tasks where state = 'READY' order by queue limit 1)
    union all
    select (select t.queue
              from tasks t
             where t.state = 'READY' and t.queue > q.queue
             order by t.queue
             limit 1)
      from queue q
     where q.queue is not null
)
select q.queue, t.run_id as run, t.name as task, r.type, r.created_at as run_created_at
  from (select queue from queue where queue is not null limit %(limit)s) as q
 cross join lateral (
    select first.run_id, first.name
      from generate_series(0, 19) as rank
     cross join lateral (
        select run_id, name, ready_seq
          from tasks
         where state = 'READY' and queue = q.queue and tasks.rank = rank.rank::smallint
         order by ready_seq
         limit 1
     ) as first
     order by first.ready_seq
     limit 1
 ) as t
  join runs r on r.id = t.run_id
 order by r.created_at;
