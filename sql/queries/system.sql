-- What the system says of itself.

-- name: server
select version() as version, current_database() as database,
       pg_database_size(current_database()) as bytes, pg_postmaster_start_time() as since,
       (select setting::integer from pg_settings where name = 'max_connections') as most,
       (select count(*) from pg_stat_activity where datid is not null) as connections,
       pg_is_in_recovery() or current_setting('default_transaction_read_only')::boolean
           as is_read_only,
       clock_timestamp() as now;

-- name: tables
-- The largest; partitions are counted with what they are part of, rows as they were last counted.
select r.relname as name, sum(pg_total_relation_size(c.oid))::bigint as bytes,
       sum(pg_indexes_size(c.oid))::bigint as index_bytes,
       sum(greatest(c.reltuples, 0))::bigint as rows, count(*) - 1 as partitions,
       sum(s.n_dead_tup)::bigint as dead, max(s.last_autovacuum) as vacuumed_at
  from pg_class c
  join pg_class r on r.oid = coalesce(pg_partition_root(c.oid), c.oid)
  left join pg_stat_user_tables s on s.relid = c.oid
 where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
 group by r.relname
 order by bytes desc, name
 limit %(limit)s;

-- name: migrations
select number, name, applied_at from schema_migrations order by number desc limit %(limit)s;

-- name: connections
select name, place, state, since, last_at from connections_of_ours() order by name, since;

-- name: servers
-- Those that take part in chores, which all servers do.
select w.id, w.last_heartbeat as seen_at,
       (select count(*) from procrastinate_jobs j
         where j.worker_id = w.id and j.status = 'doing') as in_hand
  from procrastinate_workers w
 order by w.last_heartbeat desc
 limit %(limit)s;

-- name: statements
select statement, calls, total_ms, mean_ms, longest_ms, rows from slow_statements(%(limit)s);
