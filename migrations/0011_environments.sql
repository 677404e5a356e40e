-- How far the change of a cluster's environment is. Without a row, or settled, nodes are given what is wanted.
create table environment_changes (
    cluster_id bigint primary key references clusters on delete cascade,
    tenant_id  uuid not null references tenants on delete cascade,
    -- building: nodes have what they had. workers: workers have what is wanted. all: every node has it.
    -- abandoned: refused, or rolled back; nodes have what they had.
    stage      text not null check (stage in ('building', 'workers', 'all', 'settled', 'abandoned')),
    -- The generation that asked for it: another one is another attempt.
    attempt    bigint not null,
    -- The last spec whose environment worked.
    before     jsonb not null,
    failure    jsonb,
    changed_at timestamptz not null default now()
);
