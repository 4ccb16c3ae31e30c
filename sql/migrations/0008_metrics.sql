-- How recent attempts ended, for those who watch: written in the order of time, so a few bytes for
-- each hundred pages find them.

create index attempts_by_time on attempts using brin (finished_at)
    with (pages_per_range = 32, autosummarize = on);
