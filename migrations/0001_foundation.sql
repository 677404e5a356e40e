-- The control plane's own database. Metadata databases of clusters are elsewhere, on another server.

create table tenants (
    id          uuid primary key,
    name        text not null unique,
    max_clusters int not null default 20 check (max_clusters >= 0),
    max_nodes    int not null default 100 check (max_nodes >= 0),
    created_at  timestamptz not null default now()
);

create table users (
    id            uuid primary key,
    email         text not null check (email = lower(email)),
    name          text not null,
    password_hash text,
    created_at    timestamptz not null default now(),
    unique (email)
);

create table memberships (
    tenant_id  uuid not null references tenants on delete cascade,
    user_id    uuid not null references users on delete cascade,
    role       text not null check (role in ('owner', 'member')),
    created_at timestamptz not null default now(),
    primary key (tenant_id, user_id)
);

-- Tokens are stored as SHA-256 only.
create table sessions (
    id         uuid primary key,
    token_hash bytea not null unique,
    tenant_id  uuid not null,
    user_id    uuid not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    foreign key (tenant_id, user_id) references memberships (tenant_id, user_id) on delete cascade
);
create index sessions_by_user on sessions (user_id);

-- Single-use codes that carry a sign-in from the console's host to an Airflow's host.
create table handover_codes (
    code_hash    bytea primary key,
    session_id   uuid not null references sessions on delete cascade,
    host         text not null,
    binding_hash bytea not null,
    expires_at   timestamptz not null,
    used_at      timestamptz
);

-- Keys of this installation (session signing, edge signing, …), encrypted under the master key.
create table control_keys (
    name       text primary key,
    ciphertext bytea not null,
    created_at timestamptz not null default now()
);

create table clusters (
    id          bigint generated always as identity primary key,
    tenant_id   uuid not null references tenants,
    name        text not null,
    spec        jsonb not null,
    generation  bigint not null default 1,
    power       text not null check (power in ('running', 'stopped', 'deleted')),
    -- Grows with every asked-for restart of the whole cluster.
    restart_nonce bigint not null default 0,
    -- service -> {"restart_nonce": n, "enabled": bool}, as asked by `services restart|stop|start`.
    service_wishes jsonb not null default '{}',
    phase       jsonb not null default '{"state":"stopped"}',
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    deleted_at  timestamptz,
    -- The reconciler's lease on this cluster; `fence` grows with each holder.
    lease_owner uuid,
    lease_until timestamptz,
    fence       bigint not null default 0,
    wake_at     timestamptz not null default now()
);
create unique index clusters_name on clusters (tenant_id, name) where deleted_at is null;
create index clusters_due on clusters (wake_at) where deleted_at is null;

-- Fernet key, JWT secret, broker password, DSN, storage credentials, CA key: encrypted under the master key.
create table cluster_secrets (
    cluster_id bigint not null references clusters on delete cascade,
    name       text not null,
    ciphertext bytea not null,
    created_at timestamptz not null default now(),
    primary key (cluster_id, name)
);

create table cluster_grants (
    cluster_id bigint not null references clusters on delete cascade,
    tenant_id  uuid not null,
    user_id    uuid not null,
    role       text not null check (role in ('user', 'admin')),
    created_at timestamptz not null default now(),
    primary key (cluster_id, user_id),
    foreign key (tenant_id, user_id) references memberships (tenant_id, user_id) on delete cascade
);

create table operations (
    id           uuid primary key,
    tenant_id    uuid not null references tenants,
    cluster_id   bigint not null references clusters,
    kind         text not null,
    generation   bigint not null,
    state        text not null default 'running' check (state in ('running', 'succeeded', 'failed', 'superseded')),
    steps        jsonb not null default '[]',
    failure      jsonb,
    requested_by uuid references users on delete set null,
    created_at   timestamptz not null default now(),
    finished_at  timestamptz
);
create unique index operations_one_running on operations (cluster_id) where state = 'running';
create index operations_by_cluster on operations (cluster_id, created_at desc);

create table nodes (
    id            uuid primary key,
    cluster_id    bigint not null references clusters,
    role          text not null check (role in ('scheduler', 'web', 'worker')),
    ordinal       int not null check (ordinal >= 1),
    generation    bigint not null,
    -- intended: row written, provider not yet asked. launched: the provider accepted. terminating: asked to end. gone: ended.
    state         text not null check (state in ('intended', 'launched', 'terminating', 'gone')),
    -- What it was asked to be; `stop` before it is terminated.
    power         text not null default 'run' check (power in ('run', 'stop')),
    -- The exact bytes for the provider, sent again after a crash, and their idempotency token.
    request       jsonb not null,
    client_token  text not null unique,
    provider_id   text,
    address       text,
    -- SHA-256 of the single-use bootstrap token and of the node's own.
    bootstrap_hash bytea,
    bootstrap_expires_at timestamptz,
    identity_hash bytea unique,
    assignment_version bigint not null default 0,
    assignment_digest bytea,
    -- The last report whose transitions mattered; liveness itself stays in memory.
    report        jsonb,
    reported_at   timestamptz,
    last_event_sequence bigint not null default 0,
    created_at    timestamptz not null default now(),
    launched_at   timestamptz,
    gone_at       timestamptz
);
-- No doubled node, whatever happens: one live row for a place.
create unique index nodes_one_per_place on nodes (cluster_id, role, ordinal) where state <> 'gone';
create index nodes_by_cluster on nodes (cluster_id);

create table events (
    id         bigint generated always as identity primary key,
    tenant_id  uuid not null references tenants,
    cluster_id bigint references clusters,
    node_id    uuid,
    node_label text,
    service    text,
    kind       text not null,
    severity   text not null check (severity in ('info', 'warning', 'error')),
    message    text not null,
    at         timestamptz not null default now()
);
create index events_by_cluster on events (cluster_id, id desc);
create index events_by_tenant on events (tenant_id, id desc);

create table idempotency_keys (
    tenant_id    uuid not null references tenants on delete cascade,
    key          text not null check (length(key) <= 200),
    route        text not null,
    request_hash bytea not null,
    status       int,
    body         jsonb,
    created_at   timestamptz not null default now(),
    primary key (tenant_id, key)
);

-- What the reconciler, the edges and the event streams wake up for.
create function notify_cluster() returns trigger language plpgsql as $$
begin
    perform pg_notify('updraft_clusters', new.id::text);
    return new;
end $$;
create trigger clusters_changed after insert or update of spec, generation, power, restart_nonce, service_wishes, wake_at
    on clusters for each row execute function notify_cluster();

create function notify_event() returns trigger language plpgsql as $$
begin
    perform pg_notify('updraft_events', new.id::text);
    return new;
end $$;
create trigger events_added after insert on events for each row execute function notify_event();

create function notify_policy() returns trigger language plpgsql as $$
begin
    perform pg_notify('updraft_policy', '');
    return null;
end $$;
create trigger grants_changed after insert or update or delete on cluster_grants for each statement execute function notify_policy();
create trigger members_changed after insert or update or delete on memberships for each statement execute function notify_policy();
create trigger sessions_changed after update or delete on sessions for each statement execute function notify_policy();
create trigger phases_changed after insert or update of phase, deleted_at on clusters for each statement execute function notify_policy();
create trigger places_changed after update of address, state on nodes for each statement execute function notify_policy();
