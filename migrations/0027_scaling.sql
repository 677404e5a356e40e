-- Clusters that start and stop by themselves, and queues that scale by themselves.

create table cluster_schedules (
    cluster_id bigint primary key references clusters on delete cascade,
    tenant_id  uuid not null references tenants on delete cascade,
    -- Up to this moment its times were acted upon.
    looked_at  timestamptz not null default now(),
    next_at    timestamptz not null
);

create index cluster_schedules_next on cluster_schedules (next_at);

alter table operations
    -- Why Updraft itself asked for it.
    add column cause text check (cause in ('schedule'));

-- How many workers each queue is to have now that scales by itself.
create table queue_sizes (
    cluster_id  bigint not null references clusters on delete cascade,
    tenant_id   uuid not null references tenants on delete cascade,
    queue       text not null,
    workers     int not null check (workers >= 0),
    -- Since when its tasks need fewer, and the most that they needed meanwhile.
    fewer_since timestamptz,
    fewer_most  int,
    primary key (cluster_id, queue),
    check ((fewer_since is null) = (fewer_most is null))
);
