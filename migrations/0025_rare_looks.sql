-- Clusters that are as they should be are looked at rarely, so whatever a look would find wakes them; and what was restored
-- from a backup ends nothing until an operator has confirmed it.

-- That a look is over is no news, and each look writes when the next one is due.
drop trigger clusters_changed on clusters;
create trigger clusters_changed
    after insert or update of spec, generation, power, restart_nonce, service_wishes, dag_sync_nonce, dag_pin
    on clusters for each row execute function notify_cluster();
create trigger clusters_woken after update of wake_at on clusters for each row
    when (new.wake_at is distinct from old.wake_at and new.wake_at <= now()) execute function notify_cluster();

-- The agents that wait for this are those of one cluster.
create function notify_clusters_nodes() returns trigger language plpgsql as $$
begin
    perform pg_notify('updraft_clusters', new.cluster_id::text);
    return null;
end $$;
create trigger assignments_changed after update of assignment_version on nodes for each row
    when (new.assignment_version is distinct from old.assignment_version) execute function notify_clusters_nodes();

-- What assignments are made of beside the cluster's own rows.
create function wake_tenants_clusters() returns trigger language plpgsql as $$
begin
    update clusters set wake_at = now()
    where tenant_id = coalesce(new.tenant_id, old.tenant_id) and deleted_at is null;
    return null;
end $$;
create trigger credentials_changed after insert or update of config, ciphertext or delete on credentials
    for each row execute function wake_tenants_clusters();
create trigger copies_changed after insert or delete on environment_copies
    for each row execute function wake_tenants_clusters();
create function wake_secrets_cluster() returns trigger language plpgsql as $$
begin
    update clusters set wake_at = now()
    where id = coalesce(new.cluster_id, old.cluster_id) and deleted_at is null;
    return null;
end $$;
create trigger task_secrets_changed after insert or update or delete on task_secrets
    for each row execute function wake_secrets_cluster();
-- Web nodes dial to every edge: one that comes, or comes back, is news for all.
create function notify_all_clusters() returns trigger language plpgsql as $$
begin
    perform pg_notify('updraft_clusters', '');
    return null;
end $$;
create trigger edges_came after insert on edges for each row execute function notify_all_clusters();
create trigger edges_came_back after update of seen_at on edges for each row
    when (old.seen_at < now() - interval '1 minute') execute function notify_all_clusters();

-- A node that the provider lists and that no record names: every record precedes its node, so the database is older than
-- the world. While there is one that no operator has given over, nothing is ended.
create table restore_strays (
    provider_id  text primary key,
    node_id      uuid not null,
    -- No reference: there may be no such cluster here.
    cluster_id   bigint not null,
    seen_at      timestamptz not null default now(),
    confirmed_at timestamptz
);
create index restore_strays_open on restore_strays (seen_at) where confirmed_at is null;
