-- Lists that stay quick over many runs, types that are retired, selections of dead letters.

-- Runs without labels cost this nothing.
create index runs_by_label on runs using gin (labels jsonb_path_ops) where labels <> '{}';
create index runs_with_error on runs (id) where error is not null;
create index runs_ended_badly on runs (type, id) where state in ('FAILED', 'STOPPED');
-- Runs lie in the order of their starts, and so nearly in that of their ends.
create index runs_by_end on runs using brin (finished_at)
    with (pages_per_range = 32, autosummarize = on);

alter table process_types add column retired_by text, add column retired_note text;
