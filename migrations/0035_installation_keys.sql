-- The installation's own keys follow each other while everything goes on: one that is believed and not used yet, the one that
-- is used, and one that is believed until nothing of it can live.
alter table control_keys
    -- Null: it is published, and not used yet.
    add column signs_since   timestamptz,
    -- Somebody wants another in its place before its time is over.
    add column turn_asked_at timestamptz,
    -- It may be known to others: it ends at once.
    add column distrusted_at timestamptz;
update control_keys set signs_since = created_at where name in ('airflow', 'tunnel-authority', 'tunnel-token');

-- What each process goes by now, and since when. Null: a release that does not say.
alter table controls
    add column keys_known   text[],
    add column keys_signing text[],
    add column keys_since   timestamptz;
alter table edges
    add column keys       text[],
    add column keys_since timestamptz;
-- What a web node was given to go by, and in which version of its assignment first.
alter table nodes
    add column keys_given   text[],
    add column keys_version bigint;
