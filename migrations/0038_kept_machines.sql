-- Machines of a stopped cluster may be kept standing still: `kept` beside the other states of a node.
alter table nodes drop constraint nodes_state_check;
alter table nodes add constraint nodes_state_check
    check (state in ('intended', 'launched', 'kept', 'terminating', 'gone'));

-- When its machine was last asked to stand still, and how often in a row the provider said that it will not be switched.
alter table nodes
    add column switch_asked_at timestamptz,
    add column switch_refusals integer not null default 0;

-- Clusters with a node that could not be given an agent: they are left with the one they have, for that attempt.
create table agent_failures (
    release    text not null references agent_rollouts (release) on delete cascade,
    attempt    bigint not null,
    cluster_id bigint not null references clusters (id) on delete cascade,
    tenant_id  uuid not null references tenants (id) on delete cascade,
    node_id    uuid not null,
    why        text not null,
    failed_at  timestamptz not null default now(),
    primary key (release, attempt, cluster_id)
);
