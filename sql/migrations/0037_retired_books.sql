-- What a late word of a workstation is told by: the books that another one has taken the place of,
-- and when the connection of its session was opened, in seconds since 1970.
alter table workstations
    add column retired text[] not null default '{}',
    add column opened double precision not null default 0;
