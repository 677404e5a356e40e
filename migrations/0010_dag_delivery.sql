-- Where DAGs come from, what they are read with, and what became of each version.

-- One source became a list of them, each in a folder.
update clusters
set spec = (spec - 'dag_source') || jsonb_build_object(
        'dag_sources', jsonb_build_array(jsonb_build_object('folder', '', 'source', spec -> 'dag_source')))
where spec ? 'dag_source';

alter table clusters
    -- Grows with each asked-for look at the sources.
    add column dag_sync_nonce bigint not null default 0,
    -- The version somebody rolled back to.
    add column dag_pin text;

drop trigger clusters_changed on clusters;
create trigger clusters_changed
    after insert or update of spec, generation, power, restart_nonce, service_wishes, wake_at, dag_sync_nonce, dag_pin
    on clusters for each row execute function notify_cluster();

-- What a tenant's clusters prove themselves with elsewhere.
create table credentials (
    tenant_id  uuid not null references tenants on delete cascade,
    name       text not null,
    -- Kind and all that is no secret.
    config     jsonb not null,
    -- Of an SSH key: what is shown to whoever is to let it in.
    public_key text,
    -- Encrypted under the master key.
    ciphertext bytea not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, name)
);

-- As the resolving node published it and the scheduler's Airflow read it: reports, untrusted and bounded.
create table dag_versions (
    cluster_id    bigint not null references clusters on delete cascade,
    digest        text not null,
    published_at  timestamptz not null,
    files         bigint not null,
    bytes         bigint not null,
    -- [{"folder", "revision", "author", "message", "pushed_at"}]
    sources       jsonb not null,
    parsed_at     timestamptz,
    dags          int,
    import_errors jsonb,
    primary key (cluster_id, digest)
);
create index dag_versions_newest on dag_versions (cluster_id, published_at desc);

-- Since when a version is, or was last, live on each node.
create table dag_arrivals (
    cluster_id bigint not null references clusters on delete cascade,
    digest     text not null,
    node_label text not null,
    live_since timestamptz not null,
    primary key (cluster_id, digest, node_label)
);

-- Addresses that a git server tells of a push. The secret is derived from id and turn under the master key.
create table dag_hooks (
    id         uuid primary key,
    cluster_id bigint not null references clusters on delete cascade,
    folder     text not null,
    -- Grows with each new secret.
    turn       int not null default 1,
    created_at timestamptz not null default now(),
    called_at  timestamptz,
    unique (cluster_id, folder)
);
