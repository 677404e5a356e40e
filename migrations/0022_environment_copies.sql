-- Environments of clusters' own packages, packed, each in the bucket of the cluster that holds it: what came out of a
-- build, so that another cluster of the tenant takes exactly that.
create table environment_copies (
    cluster_id       bigint not null references clusters on delete cascade,
    tenant_id        uuid not null references tenants on delete cascade,
    -- Of all that went in: runtime, requirements, index, plugins.
    digest           text not null check (digest ~ '^[0-9a-f]{24}$'),
    -- Of the archive.
    sha256           text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    bytes            bigint not null check (bytes > 0),
    -- Other clusters of the tenant may take it: a user of its own built it, and nothing of the cluster's saw it before it
    -- was sealed.
    shared           boolean not null,
    -- What the index was shown; who names another is not given it.
    index_credential text,
    -- The cluster that built it, which may be gone.
    built_by         bigint not null,
    recorded_at      timestamptz not null default now(),
    named_at         timestamptz not null default now(),
    primary key (cluster_id, digest)
);
create index environment_copies_by_digest on environment_copies (tenant_id, digest);
