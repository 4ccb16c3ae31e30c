-- The history of all runs as one feed. Transaction ids order it: serial ids commit out of order.

create index history_feed on history (xid, id);
