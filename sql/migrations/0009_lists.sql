-- Lists that stay quick over many runs, types that are retired, selections of dead letters.

-- Runs without labels cost this nothing.
create index runs_by_label on runs using gin (labels jsonb_path_ops) where labels <> '{}';
create index runs_with_error on runs (id) where error is not null;
create index runs_ended_badly on runs (type, id) where state in ('FAILED', 'STOPPED');
-- Runs lie in the order of their starts, and so nearly in that of their ends.
create index runs_by_end on runs using brin (finished_at)
    with (pages_per_range = 32, autosummarize = on);

alter table process_types add column retired_by text, add column retired_note text;

-- What lists and selections of open dead letters look for.
create index dead_letters_by_type on dead_letters (type, id) where state = 'OPEN';
create index dead_letters_by_fingerprint on dead_letters (fingerprint, id) where state = 'OPEN';
create index dead_letters_by_time on dead_letters (made_at);

-- Dead letters that somebody chose at a moment, to decide on them and on no others.
create table dead_letter_selections (
    id         uuid        primary key,
    filters    jsonb       not null,
    letters    integer     not null,
    is_capped  boolean     not null,
    created_at timestamptz not null default clock_timestamp(),
    created_by text        not null,
    expires_at timestamptz not null,
    action     text        check (action in ('redrive', 'discard')),
    wish       jsonb,
    begun_at   timestamptz,
    begun_by   text,
    constraint begun_by_somebody check ((action is null) = (begun_by is null))
);
create index dead_letter_selections_expired on dead_letter_selections (expires_at);

-- What became of each. A letter may be gone with its run: then this says so.
create table dead_letters_selected (
    selection uuid   not null references dead_letter_selections on delete cascade,
    letter    bigint not null,
    result    text   check (result in ('redriven', 'discarded', 'skipped', 'refused')),
    detail    text,
    primary key (selection, letter)
);
create index dead_letters_undecided on dead_letters_selected (selection, letter)
    where result is null;

grant select, insert, update, delete on dead_letter_selections, dead_letters_selected to app;
