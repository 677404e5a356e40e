-- What tasks of one cluster know and nobody is shown: environment variables whose values are secret.
create table task_secrets (
    cluster_id bigint not null references clusters on delete cascade,
    tenant_id  uuid not null references tenants on delete cascade,
    name       text not null,
    -- Encrypted under the master key.
    ciphertext bytea not null,
    -- Another one with each value: services are restarted by it, so that no digest of a value leaves control.
    revision   uuid not null,
    set_at     timestamptz not null default now(),
    primary key (cluster_id, name)
);
