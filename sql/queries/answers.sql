-- name: patience
-- Of two who come with the same key the second waits for the first, but not for ever.
select set_config('lock_timeout', '5s', true);

-- name: impatience
-- What the answer itself waits for is its own affair.
select set_config('lock_timeout', '0', true);

-- name: reserve
-- No row if the key is taken. Waits for a transaction that has just taken it: if that one is undone,
-- or its server killed, the key is free.
insert into answers (token_id, key, digest)
values (%(token)s, %(key)s, %(digest)s)
    on conflict (token_id, key) do nothing
returning key;

-- name: keep
update answers
   set status = %(status)s, headers = %(headers)s::jsonb, body = %(body)s
 where token_id = %(token)s and key = %(key)s;

-- name: get
select digest, status, headers, body
  from answers
 where token_id = %(token)s and key = %(key)s;

-- name: forget
delete from answers where created_at < clock_timestamp() - %(age)s::interval;
