-- name: ready_queues
-- The queues of labels from which something can be claimed, the most urgent first. One probe of the
-- index for each of them, however many tasks they have.
with recursive front as (
    (
        select queue, rank, ready_seq
          from tasks
         where state = 'READY' and placement is not null
           and queue collate "C" >= 'on:' and queue collate "C" < 'on;'
         order by queue collate "C", rank, ready_seq
         limit 1
    )
    union all
    select next.queue, next.rank, next.ready_seq
      from front
     cross join lateral (
        select queue, rank, ready_seq
          from tasks
         where state = 'READY' and placement is not null
           and queue collate "C" > front.queue and queue collate "C" < 'on;'
         order by queue collate "C", rank, ready_seq
         limit 1
     ) as next
)
select queue from front order by rank, ready_seq;
