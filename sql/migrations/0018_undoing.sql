-- Whether a stop asked for what was done to be undone, until that has begun.
alter table runs add column undoes boolean not null default false;
