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
