-- Who is told of what, and whether it reached them.

create table notification_channels (
    id         bigint      generated always as identity primary key,
    name       text        not null unique check (length(name) between 1 and 63),
    kind       text        not null check (kind in ('webhook', 'email', 'run')),
    config     jsonb       not null,
    secret     text,
    failures   integer     not null default 0,
    open_until timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    created_by text        not null,
    check (kind = 'webhook' or secret is null)
);

create table notification_rules (
    id            bigint      generated always as identity primary key,
    name          text        not null unique check (length(name) between 1 and 63),
    event         text        not null check (event in (
        'failed', 'failed_often', 'late', 'missed', 'longer', 'approval', 'dead_letters', 'test'
    )),
    type          text,
    count         integer     not null default 1 check (count > 0),
    of_last       integer     not null default 10 check (of_last between 1 and 1000),
    factor        float8      not null default 2 check (factor > 0),
    after         interval    not null default '5 minutes',
    quiet         interval    not null default '10 minutes',
    most_a_day    integer     not null default 100 check (most_a_day > 0),
    channels      text[]      not null,
    since         timestamptz not null default clock_timestamp(),
    snoozed_until timestamptz,
    created_at    timestamptz not null default clock_timestamp(),
    created_by    text        not null
);

-- What was found: each thing once for each rule, whether or not anybody was told.
create table notifications (
    id              bigint      generated always as identity primary key,
    rule            bigint      not null references notification_rules on delete cascade,
    key             text        not null,
    subject         text        not null,
    data            jsonb       not null,
    at              timestamptz not null default clock_timestamp(),
    silent          text,
    acknowledged_at timestamptz,
    acknowledged_by text,
    unique (rule, key)
);
create index notifications_at on notifications (at);

create table notification_deliveries (
    id           bigint      generated always as identity primary key,
    notification bigint      not null references notifications on delete cascade,
    channel      bigint      not null references notification_channels on delete cascade,
    state        text        not null default 'PENDING' check (
        state in ('PENDING', 'DELIVERED', 'FAILED')
    ),
    attempts     integer     not null default 0,
    next_at      timestamptz default clock_timestamp(),
    answer       text,
    error        text,
    tried_at     timestamptz,
    delivered_at timestamptz,
    unique (notification, channel),
    check ((state = 'PENDING') = (next_at is not null))
);
create index notification_deliveries_due on notification_deliveries (next_at)
    where state = 'PENDING';
create index notification_deliveries_of_channel on notification_deliveries (channel);

-- What failed lately, without those that failed long ago.
create index runs_failed_at on runs (finished_at) where state = 'FAILED';

grant select, insert, update, delete on
    notification_channels, notification_rules, notifications, notification_deliveries to app;
