-- Rules and channels that can be changed, each by whoever saw its version; tests of one channel.

alter table notification_channels
    add column version    integer     not null default 1,
    add column updated_at timestamptz not null default clock_timestamp();
alter table notification_rules
    add column version    integer     not null default 1,
    add column updated_at timestamptz not null default clock_timestamp();

-- Whose notifications are tests of a channel. No name of a rule has brackets, so nobody makes,
-- changes or deletes it; whoever looks for what rules speak of passes over the event.
insert into notification_rules (name, event, channels, created_by)
values ('(test)', 'test', '{}', 'procession')
on conflict (name) do nothing;

-- For what a rule found, what it told lately, and what was not delivered.
create index notifications_of_rule on notifications (rule, id);
create index notifications_told on notifications (rule, at) where silent is null;
create index notifications_open on notifications (id)
    where silent is null and acknowledged_at is null;
create index notification_deliveries_by_state on notification_deliveries (state, id);

create trigger audit_notification_channels_made after insert or delete on notification_channels
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
-- How a channel fares, and when a rule last looked, is no change that anybody made.
create trigger audit_notification_channels after update of config on notification_channels
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
create trigger audit_notification_rules_made after insert or delete on notification_rules
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
create trigger audit_notification_rules
    after update of event, snoozed_until on notification_rules
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('name');
create trigger audit_notifications after update of acknowledged_at on notifications
    for each row when (current_setting('procession.actor', true) <> '')
    execute function audit_row('id');
