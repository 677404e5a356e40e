-- Clusters that stop by themselves when nobody needs them.

create table cluster_idleness (
    cluster_id bigint primary key references clusters on delete cascade,
    tenant_id  uuid not null references tenants on delete cascade,
    -- When somebody last used its pages, as edges say; since when that is counted, at first.
    used_at    timestamptz not null default now(),
    looked_at  timestamptz not null default now(),
    look_at    timestamptz not null default now(),
    -- When it stops, as people were told.
    stop_at    timestamptz
);

create index cluster_idleness_look on cluster_idleness (look_at);

alter table operations
    drop constraint operations_cause_check,
    add constraint operations_cause_check check (cause in ('schedule', 'idle'));
