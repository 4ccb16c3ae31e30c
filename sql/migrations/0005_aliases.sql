-- What earlier systems keep with a record: the text that its input was given as, and a schedule.

alter table process_records add column input_text text, add column schedule text;
