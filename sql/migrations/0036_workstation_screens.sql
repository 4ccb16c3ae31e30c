-- How workstations are shown.

-- In one word: what people decided comes first, then when it was last heard. It tells of itself every
-- 15 seconds over a stream; whoever asks now and then is given longer.
create function workstation_seen(
    state workstation_state, heard_at timestamptz, carrier text, draining boolean
) returns text language sql stable parallel safe as $$
    select case
        when state <> 'ACCEPTED' then state::text
        when heard_at is null then 'OFFLINE'
        when heard_at < now() - case when carrier = 'poll' then interval '120 seconds'
                                     else interval '50 seconds' end then 'OFFLINE'
        when heard_at < now() - case when carrier = 'poll' then interval '60 seconds'
                                     else interval '35 seconds' end then 'LATE'
        when draining then 'DRAINING'
        else 'ONLINE'
    end
$$;

create index workstation_commands_newest on workstation_commands (workstation, id);
create index workstation_hands_newest on workstation_hands (workstation, offered_at);

-- Whoever looks sees at once that one has joined, was let in, is there, or is not any more. What it is
-- heard of in between is not told: pages look by themselves. An id travels as the name of its queue.
create function tell_of_workstation() returns trigger language plpgsql as $$
begin
    perform pg_notify('procession', json_build_object(
        'r', '[]'::json, 'q', json_build_array('ws:' || left(coalesce(new.name, old.name), 200)),
        'd', 0, 'w', 0)::text);
    return null;
end
$$;

create trigger tell_screens after insert or delete on workstations for each row
    execute function tell_of_workstation();
create trigger tell_screens_of_changes after update on workstations for each row
    when (
        (old.state, old.server, old.connected_at, old.draining, old.labels, old.note)
        is distinct from (new.state, new.server, new.connected_at, new.draining, new.labels, new.note)
    )
    execute function tell_of_workstation();
