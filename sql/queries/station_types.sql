-- name: wanted
-- What may be started at a workstation while nobody else is about: what others are allowed to start
-- there (`*`: anything), and what is placed there as a whole.
select distinct wanted.type as name
  from (
    select jsonb_array_elements_text(w.peers -> %(workstation)s) as type
      from workstations w
     where w.state = 'ACCEPTED' and w.peers ? %(workstation)s and w.name <> %(workstation)s
    union all
    select jsonb_array_elements_text(w.peers -> '*')
      from workstations w
     where w.state = 'ACCEPTED' and w.peers ? '*' and w.name <> %(workstation)s
    union all
    select t.name
      from process_types t
      join process_type_versions v on v.type = t.name and v.version = t.latest
     where t.retired_at is null and v.document -> 'on' ->> 'workstation' = %(workstation)s
  ) as wanted
 order by 1
 limit %(limit)s;
