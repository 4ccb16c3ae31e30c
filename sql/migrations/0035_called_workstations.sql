-- Workstations that the server calls, because they cannot call it: where a workstation was not
-- reached, people are told why.
alter table workstations add column unreached text;
create index workstations_called on workstations (id) where is_dialled;
