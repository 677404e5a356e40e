-- When old logs of a cluster were last removed, and when somebody is to look again. Without a row: at once.
create table log_sweeps (
    cluster_id bigint primary key references clusters on delete cascade,
    tenant_id  uuid not null references tenants on delete cascade,
    -- Until then nobody else does.
    next_at    timestamptz not null,
    swept_at   timestamptz,
    -- Objects, since the beginning.
    removed    bigint not null default 0
);
