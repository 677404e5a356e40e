-- What the reconciler has to remember between a crash and the next look.

alter table nodes
    add column launch_attempts     int not null default 0,
    add column launch_attempted_at timestamptz,
    -- {"kind": "quota", "message": "…"} of the last attempt; null while its outcome is unknown.
    add column launch_failure      jsonb,
    add column stop_asked_at       timestamptz,
    -- Why it was given up: vanished, silent, never_reported. Null: it was no longer wanted.
    add column loss                text;
create index nodes_lost on nodes (cluster_id, gone_at) where loss is not null;

-- What a cluster has outside its nodes. No row: nothing; `intended`: it may exist in part.
create table cluster_resources (
    cluster_id   bigint not null references clusters on delete cascade,
    kind         text not null check (kind in ('secrets', 'database', 'storage')),
    state        text not null check (state in ('intended', 'ready')),
    attempts     int not null default 0,
    failure      text,
    attempted_at timestamptz not null default now(),
    ready_at     timestamptz,
    primary key (cluster_id, kind)
);
