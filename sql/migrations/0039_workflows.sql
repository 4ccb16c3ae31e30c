-- Workflows that programs carry out: what they called, what they tell, what they are told.

-- In one order and before anything else: whoever works waits for a moment, and nobody in a circle.
lock table runs, tasks in access exclusive mode;

alter type wait_reason add value if not exists 'calls';

-- A call is a task of its run: `of` is the position of the workflow, and its own position is the
-- workflow's `base` and its number. Rows that are there obey a narrower rule already.
alter table tasks drop constraint tasks_role_check;
alter table tasks
    add constraint tasks_role_check
        check (role in ('task', 'item', 'undo', 'hook', 'call')) not valid,
    add column call_order integer;

-- Calls that are over are many, and boards need the others. Those that a program made itself it knows.
create index tasks_calls_living on tasks (run_id)
    where role = 'call' and state in ('PENDING', 'WAITING', 'READY', 'IN_PROGRESS');
create index tasks_calls_resolved on tasks (run_id, call_order)
    where role = 'call' and call_order is not null
          and kind not in ('step', 'moment', 'patch', 'send', 'set', 'write');

alter table runs
    add column awaited     boolean not null default false,  -- others ask for its end
    add column forked_from uuid,
    add column forked_seq  integer;
create index runs_forked on runs (forked_from, id) where forked_from is not null;

-- How far a workflow is. Who locks it locks its run before, if at all: steps are recorded without.
create table workflows (
    task_id  bigint  primary key,
    run_id   uuid    not null references runs on delete cascade,
    base     integer not null,
    top      integer not null,            -- the highest base that calls were put away under
    attempt  integer not null,            -- the one that may record
    proof    bytea   not null,            -- SHA-256 of what its offer said
    orders   integer not null default 0,  -- results are known up to this
    offered  integer not null default 0,  -- and were when it was offered
    told     integer not null default 0,  -- and were told to a program that only asks now and then
    shown    integer[],                   -- order and number of the last call of its history that a
                                          -- program has by poll; null: it has all
    replays  integer not null default 0,
    version  text,                        -- of the code
    diverged jsonb,
    unique (run_id, base)
) with (fillfactor = 50);

-- What others send to a run. It is taken once, in the order in which it came.
create table mailbox (
    id       bigint      generated always as identity primary key,
    run_id   uuid        not null references runs on delete cascade,
    topic    text        not null check (length(topic) <= 200),
    key      text        check (length(key) between 1 and 200),
    body     jsonb       not null,
    sent_by  text        not null,
    sent_at  timestamptz not null default clock_timestamp(),
    taken_by bigint,
    taken_at timestamptz
);
create unique index mailbox_once on mailbox (run_id, key) where key is not null;
create index mailbox_waiting on mailbox (run_id, topic, id) where taken_by is null;
create index mailbox_of_run on mailbox (run_id, id);

-- What runs tell of themselves: values, of which the newest counts, and streams.
create table run_tellings (
    id      bigint      generated always as identity primary key,
    run_id  uuid        not null references runs on delete cascade,
    kind    text        not null check (kind in ('value', 'stream')),
    name    text        not null check (length(name) between 1 and 200),
    value   jsonb       not null,
    task_id bigint      not null,
    seq     integer     not null,
    at      timestamptz not null default clock_timestamp()
);
create index run_tellings_of_run on run_tellings (run_id, kind, name, id);

-- What calls ask of other runs: a value, or the end.
create table inquiries (
    task_id bigint primary key,
    run_id  uuid   not null references runs on delete cascade,  -- of the call
    about   uuid   not null,
    kind    text   not null check (kind in ('value', 'end')),
    name    text   not null default ''
);
create index inquiries_about on inquiries (about);
create index inquiries_of_run on inquiries (run_id);

grant select, insert, update, delete on workflows, mailbox, run_tellings, inquiries to app;

-- Who sees to errands is told of these when they are there: nobody else knows of them.
create function tell_inquirers() returns trigger
language plpgsql as $$
begin
    insert into errands (run_id, kind) values (new.id, 'inquired');
    perform pg_notify('procession', '{"r":[],"q":[],"d":1,"w":0}');
    return null;
end $$;

create or replace function tell_parent() returns trigger
language plpgsql as $$
begin
    if new.workstation is not null then
        return null;
    end if;
    insert into errands (run_id, task_id, kind, data)
    select new.parent_run, new.parent_task, 'child_ended', jsonb_build_object('child', new.id)
     where exists (select from runs where id = new.parent_run);
    perform pg_notify('procession', '{"r":[],"q":[],"d":1,"w":0}');
    return null;
end $$;

create trigger an_awaited_run_has_ended
    after update of state on runs
    for each row
    when (new.awaited and new.finished_at is not null and old.finished_at is null)
    execute function tell_inquirers();

-- For a step whose effect is in this database as well: its result is kept by the transaction that has
-- the effect, so both are there or neither. Whoever has the proof has the attempt in hand; one that
-- was offered to somebody else since keeps nothing any more.
create function checkpoint_step(
    attempt text, proof text, seq integer, name text, output jsonb
) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    mine record;
begin
    if attempt is null or attempt !~ '^[1-9][0-9]{0,17}[.][1-9][0-9]{0,8}$' then
        raise exception 'an attempt is TASK.NUMBER, as it was offered'
            using errcode = 'invalid_parameter_value';
    end if;
    if seq is null or seq not between 1 and 99999 then
        raise exception 'the number of a call is 1 to 99999, and not %', seq
            using errcode = 'invalid_parameter_value';
    end if;
    if name is null or length(name) > 200 or coalesce(octet_length(output::text), 0) > 900000 then
        raise exception 'a name has at most 200 characters, and an output 900,000 bytes'
            using errcode = 'invalid_parameter_value';
    end if;
    select w.run_id, w.base, t.position, t.queue, t.rank
      into mine
      from public.workflows w
      join public.tasks t on t.id = w.task_id
     where w.task_id = split_part(checkpoint_step.attempt, '.', 1)::bigint
       and w.attempt = split_part(checkpoint_step.attempt, '.', 2)::integer
       and w.proof = sha256(convert_to(checkpoint_step.proof, 'UTF8'))
       and t.state = 'IN_PROGRESS' and t.attempt = w.attempt;
    if not found then
        raise exception 'attempt % is not in hand any more, or the proof is not its own', attempt
            using errcode = 'insufficient_privilege';
    end if;
    insert into public.tasks (
        run_id, position, name, kind, state, queue, rank, required, needed, open, passed,
        successors, settles, judged, on_lost, attempt, output, started_at, finished_at, role, of
    ) values (
        mine.run_id, mine.base + seq, name, 'step', 'COMPLETED', mine.queue, mine.rank, 0, 0, 0,
        true, '{}', false, true, 'retry', 1, output, now(), clock_timestamp(), 'call',
        mine.position
    );
exception when unique_violation then
    raise exception 'call % of attempt % has its result already', seq, attempt
        using errcode = 'unique_violation';
end $$;
