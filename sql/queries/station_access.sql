-- name: signing
select public_key, key_id, sealed from workstation_signing;

-- name: lock_signing
-- Nobody else encrypts it anew meanwhile.
select public_key, key_id, sealed from workstation_signing for update;

-- name: sign_with
-- No row where there is one already: `signing` reads it then.
insert into workstation_signing (public_key, key_id, sealed)
values (%(public_key)s, %(key)s, %(sealed)s)
on conflict (is_only) do nothing
returning public_key;

-- name: reseal
update workstation_signing set key_id = %(key)s, sealed = %(sealed)s;

-- name: invite
insert into workstation_invitations (
    digest, name, labels, approve, cidr, uses, replaces, expires_at, created_by
)
values (
    %(digest)s, %(name)s, %(labels)s, %(approve)s, %(cidr)s, %(uses)s, %(replaces)s,
    clock_timestamp() + %(length)s::interval, %(by)s
)
returning id, expires_at;

-- name: invitations
-- Those that are good, the newest first.
select id, name, labels, approve, cidr::text as cidr, uses, replaces, expires_at, created_at,
       created_by
  from workstation_invitations
 where expires_at > clock_timestamp() and uses > 0
   and id < coalesce(%(after)s, 9223372036854775807)
 order by id desc
 limit %(limit)s;

-- name: uninvite
delete from workstation_invitations where id = %(id)s returning id;

-- name: forget
-- What nobody can ask about any more: invitations stay for a day, to be told that they are over.
with gone as (
    delete from workstation_invitations where expires_at < clock_timestamp() - interval '1 day'
)
delete from workstation_nonces where expires_at < clock_timestamp() - interval '10 minutes';

-- name: lock_invitation
-- Of those who come with the same word at once, one after the other is looked at.
select id, name, labels, approve, cidr::text as cidr, uses, replaces, expires_at, created_by,
       expires_at <= clock_timestamp() as is_over,
       cidr is null or %(source)s::inet <<= cidr as is_near
  from workstation_invitations
 where digest = %(digest)s
   for update;

-- name: spend
update workstation_invitations set uses = uses - 1 where id = %(id)s and uses > 0;

-- name: with_key
-- Whose key this is.
select id, name, state::text as state, public_key, invitation
  from workstations
 where public_key = %(public_key)s;

-- name: join
-- No row where the name or the key is taken.
insert into workstations (
    name, state, labels, public_key, sealing_key, facts, invitation, source, joined_at, created_by,
    accepted_at, accepted_by
)
values (
    %(name)s, %(state)s::workstation_state, %(labels)s, %(public_key)s, %(sealing_key)s, %(facts)s, %(invitation)s,
    %(source)s, clock_timestamp(), %(by)s,
    case when %(state)s::text = 'ACCEPTED' then clock_timestamp() end,
    case when %(state)s::text = 'ACCEPTED' then %(by)s end
)
on conflict do nothing
returning id;

-- name: join_again
-- Another machine under a name that there is: what is known of it goes on under the new key.
update workstations
   set state = %(state)s::workstation_state, labels = labels || %(labels)s, public_key = %(public_key)s,
       sealing_key = %(sealing_key)s, facts = %(facts)s, invitation = %(invitation)s,
       source = %(source)s, joined_at = clock_timestamp(), key_since = clock_timestamp(),
       edition = edition + 1, revoked_at = null, revoked_by = null,
       accepted_at = case when %(state)s::text = 'ACCEPTED' then clock_timestamp() end,
       accepted_by = case when %(state)s::text = 'ACCEPTED' then %(by)s end
 where name = %(name)s
returning id;

-- name: get
select w.id, w.name, w.state::text as state,
       workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen, w.edition, w.labels,
       w.told_labels, w.peers, w.note, w.public_key, w.sealing_key, w.address, w.is_dialled,
       case when w.is_dialled then w.unreached end as unreached,
       w.slots, w.version, w.facts, w.policy, w.carrier, w.connected_at, w.heard_at, w.skew,
       w.draining, w.told_drain, nullif(w.unfit, '') as unfit, w.drain_reason, w.drained_by,
       w.drained_at, w.created_at, w.created_by, w.source,
       w.joined_at, w.key_since, w.accepted_at, w.accepted_by, w.revoked_at, w.revoked_by, w.holder,
       w.invitation,
       (select count(*) from workstation_hands h where h.workstation = w.id and h.stage <> 'OVER')
           as in_hand
  from workstations w
 where w.name = %(name)s;

-- name: page
-- In the order of names. Labels that people gave stand before those that it told.
select w.id, w.name, w.state::text as state,
       workstation_seen(w.state, w.heard_at, w.carrier, w.draining) as seen, w.edition, w.labels,
       w.told_labels, w.peers, w.note, w.public_key, w.address, w.is_dialled,
       case when w.is_dialled then w.unreached end as unreached,
       w.slots, w.version,
       w.facts, w.policy, w.carrier, w.connected_at, w.heard_at, w.skew, w.draining, w.told_drain,
       nullif(w.unfit, '') as unfit, w.drain_reason, w.drained_by, w.drained_at, w.created_at, w.created_by, w.source, w.joined_at, w.key_since,
       w.accepted_at, w.accepted_by, w.revoked_at, w.revoked_by,
       (select count(*) from workstation_hands h where h.workstation = w.id and h.stage <> 'OVER')
           as in_hand
  from workstations w
 where w.name > coalesce(%(after)s, '')
   and (%(state)s::text is null
        or workstation_seen(w.state, w.heard_at, w.carrier, w.draining) = %(state)s)
   and (%(labels)s::jsonb is null or (w.told_labels || w.labels) @> %(labels)s::jsonb)
 order by w.name
 limit %(limit)s;

-- name: lock
-- Whoever changes what a workstation may does this first. Frames of its own wait for it as well.
select id, name, state::text as state, edition, labels, peers, note, public_key, address, is_dialled,
       draining, holder, invitation
  from workstations
 where name = %(name)s
   for no key update;

-- name: change
update workstations
   set labels = %(labels)s, peers = %(peers)s, note = %(note)s, address = %(address)s,
       is_dialled = %(is_dialled)s, edition = edition + 1
 where id = %(id)s;

-- name: accept
update workstations
   set state = 'ACCEPTED', accepted_at = clock_timestamp(), accepted_by = %(by)s,
       edition = edition + 1
 where id = %(id)s and state = 'PENDING';

-- name: revoke
update workstations
   set state = 'REVOKED', revoked_at = clock_timestamp(), revoked_by = %(by)s, edition = edition + 1
 where id = %(id)s and state <> 'REVOKED';

-- name: drain
update workstations
   set draining = true, drain_reason = %(reason)s, drained_by = %(by)s,
       drained_at = case when draining then drained_at else clock_timestamp() end,
       edition = edition + 1
 where id = %(id)s;

-- name: undrain
update workstations
   set draining = false, drain_reason = null, drained_by = null, drained_at = null,
       edition = edition + 1
 where id = %(id)s;

-- name: hold
-- What claims for it sees the same as what it is told.
update holders set state = %(state)s::holder_state where id = %(holder)s and state <> 'GONE';

-- name: tell
-- The newest word counts: what was asked of the whole workstation before, and not done, is over.
with over as (
    update workstation_commands
       set done_at = clock_timestamp(), applied = false, why = 'something newer was asked'
     where workstation = %(workstation)s and attempt is null and done_at is null
       and verb in ('drain', 'undrain')
)
insert into workstation_commands (workstation, verb, reason, asked_by)
values (%(workstation)s, %(verb)s, %(reason)s, %(by)s)
returning id;

-- name: in_hand
select count(*) from workstation_hands where workstation = %(id)s and stage <> 'OVER';

-- name: decides
-- Of runs that it decides about, one that is not over.
select id from runs where workstation = %(id)s and finished_at is null limit 1;

-- name: remove
delete from workstations where id = %(id)s;

-- name: retire
update holders set state = 'GONE' where id = %(holder)s and state <> 'GONE';

-- name: use_nonce
-- No row where it was used before. Of one workstation's, those that are over by the clock of every
-- server go with the next.
with gone as (
    delete from workstation_nonces
     where workstation = %(workstation)s
       and expires_at < clock_timestamp() - interval '10 minutes'
)
insert into workstation_nonces (digest, workstation, expires_at)
values (%(digest)s, %(workstation)s, to_timestamp(%(until)s))
on conflict (digest) do nothing
returning digest;

-- name: admitted
-- What everything that a workstation asks begins with.
select w.id, w.name, w.state::text as state, w.public_key, w.sealing_key, w.labels, w.told_labels,
       w.peers, w.draining, w.address, w.is_dialled, w.lineage, w.session, w.revoked_by,
       extract(epoch from clock_timestamp())::float8 as asked_at,
       s.public_key as server_key, s.key_id, s.sealed
  from workstation_signing s
  left join workstations w on w.name = %(name)s;

-- name: rotate
-- From the key before, and no other: of two who change it at once one finds that it has changed.
update workstations
   set public_key = %(successor)s, key_since = clock_timestamp(), edition = edition + 1
 where id = %(id)s and public_key = %(public_key)s and state <> 'REVOKED'
returning id;

-- name: directory
-- Those that can be called.
select name, address, public_key, told_labels || labels as labels,
       facts ->> 'hostname' as hostname, facts ->> 'certificate' as certificate
  from workstations
 where state = 'ACCEPTED' and address is not null
 order by name
 limit %(limit)s;
