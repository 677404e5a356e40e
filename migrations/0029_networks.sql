-- What a cluster's nodes need where they are started: looked at before the first of them, and made where it is the cluster's own.

alter table cluster_resources drop constraint cluster_resources_kind_check;
alter table cluster_resources add constraint cluster_resources_kind_check
    check (kind in ('secrets', 'database', 'storage', 'network'));

alter table cluster_resources
    -- The provider's own name of it, where it has one.
    add column provider_id text,
    -- Waiting does not help: somebody has to change something.
    add column refused boolean not null default false;

-- Clusters with instances have what these need: theirs was brought.
insert into cluster_resources (cluster_id, kind, state, ready_at)
select distinct cluster_id, 'network', 'ready', now()
from nodes
where state <> 'gone' and request ->> 'provider' = 'ec2';
