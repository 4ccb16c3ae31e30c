-- A workstation's books that another one has taken the place of: a late word of theirs, or a copy of
-- them, begins no session any more.
alter table workstations add column retired text[] not null default '{}';
