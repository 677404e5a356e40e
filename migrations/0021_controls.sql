-- Control processes, each with the nodes that it hears. Liveness is kept in memory: whoever drives a cluster need not be
-- the one whom its agents talk to. Rewritten each few seconds and worth nothing after a crash.
create unlogged table controls (
    id uuid primary key,
    seen_at timestamptz not null default now(),
    heard uuid[] not null default '{}'
);
