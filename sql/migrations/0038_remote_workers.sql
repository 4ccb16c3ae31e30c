-- Remote workers: what a session said of itself, beside the holder that it is. `connection` speaks
-- for it; who has another one is told to go.
create table remotes (
    holder     bigint primary key references holders (id) on delete cascade,
    session    uuid   not null unique,
    token      bigint not null,
    queues     text[] not null,
    sdk        text   not null,
    carrier    text   not null check (carrier in ('stream', 'poll')),
    connection uuid   not null
);

-- When was an action last served, and by whom?
create index remotes_queues on remotes using gin (queues);

grant select, insert, update, delete on remotes to app;
