-- What changed of that which every control process keeps in memory: whoever read up to some transaction asks for what came
-- since, and need not read everything anew. A row stays for an hour; who was away for longer reads everything.
create table changes (
    -- Transactions become visible in another order than they begin in: readers ask again from the oldest that was open.
    transaction xid8 not null default pg_current_xact_id(),
    -- cluster: its route or its grants; rights: its tenant's people, groups, rules or tokens; session: it ended before its
    -- time; node: an identity of it is no longer good.
    what text not null check (what in ('cluster', 'rights', 'session', 'node')),
    id text not null,
    at timestamptz not null default now(),
    primary key (transaction, what, id)
);
create index changes_by_time on changes (at);

create function note_change(what text, id text) returns void language sql as $$
    insert into changes (what, id) values (what, id) on conflict do nothing;
$$;

-- That something is there to be read: edges' picture waits for it.
create function note_for_edges(what text, id text) returns void language plpgsql as $$
begin
    perform note_change(what, id);
    perform pg_notify('updraft_policy', '');
end $$;

create function note_cluster() returns trigger language plpgsql as $$
begin
    perform note_for_edges('cluster', coalesce(new.id, old.id)::text);
    return null;
end $$;
create function note_clusters_part() returns trigger language plpgsql as $$
begin
    perform note_for_edges('cluster', coalesce(new.cluster_id, old.cluster_id)::text);
    return null;
end $$;
create function note_rights() returns trigger language plpgsql as $$
begin
    perform note_for_edges('rights', coalesce(new.tenant_id, old.tenant_id)::text);
    return null;
end $$;
create function note_persons_rights() returns trigger language plpgsql as $$
begin
    perform note_for_edges('rights', m.tenant_id::text) from memberships m where m.user_id = new.id;
    return null;
end $$;
create function note_session() returns trigger language plpgsql as $$
begin
    perform note_for_edges('session', new.id::text);
    return null;
end $$;
create function note_identity() returns trigger language plpgsql as $$
begin
    perform note_change('node', old.id::text);
    return null;
end $$;

drop trigger phases_changed on clusters;
create trigger phases_changed after update of phase, deleted_at, name, aws_account_id on clusters for each row
    when (new.phase is distinct from old.phase or new.deleted_at is distinct from old.deleted_at
          or new.name is distinct from old.name or new.aws_account_id is distinct from old.aws_account_id)
    execute function note_cluster();
create trigger clusters_came_or_went after insert or delete on clusters for each row execute function note_cluster();
drop trigger specs_changed on clusters;
create trigger specs_changed after update of spec on clusters for each row
    when (new.spec is distinct from old.spec) execute function note_cluster();
drop trigger places_changed on nodes;
create trigger places_changed after update of address, state, power, report on nodes for each row
    when (new.role = 'web' and (new.address is distinct from old.address or new.state is distinct from old.state
          or new.power is distinct from old.power or new.report ->> 'phase' is distinct from old.report ->> 'phase'))
    execute function note_clusters_part();
create trigger places_came after insert on nodes for each row
    when (new.role = 'web' and new.address is not null) execute function note_clusters_part();

drop trigger grants_changed on cluster_grants;
create trigger grants_changed after insert or update or delete on cluster_grants for each row execute function note_clusters_part();
drop trigger members_changed on memberships;
create trigger members_changed after insert or update of role, disabled_at or delete on memberships for each row execute function note_rights();
drop trigger rules_changed on access_rules;
create trigger rules_changed after insert or update or delete on access_rules for each row execute function note_rights();
drop trigger identities_changed on identities;
create trigger identities_changed after insert or update of groups, email_verified, hosted_domain or delete on identities
    for each row execute function note_rights();
drop trigger scim_members_changed on scim_group_members;
create trigger scim_members_changed after insert or update or delete on scim_group_members
    for each row execute function note_rights();
drop trigger scim_groups_changed on scim_groups;
create trigger scim_groups_changed after update of display_name or delete on scim_groups
    for each row execute function note_rights();
drop trigger providers_changed on identity_providers;
create trigger providers_changed after update of enabled on identity_providers for each row execute function note_rights();
drop trigger tokens_changed on api_tokens;
create trigger tokens_changed after insert or update of expires_at, revoked_at or delete on api_tokens
    for each row execute function note_rights();
drop trigger addresses_changed on users;
create trigger addresses_changed after update of email, name on users for each row
    when (new.email is distinct from old.email or new.name is distinct from old.name)
    execute function note_persons_rights();
drop trigger sessions_changed on sessions;
create trigger sessions_changed after update of revoked_at on sessions for each row
    when (new.revoked_at is not null and old.revoked_at is null) execute function note_session();

-- Control processes keep identities in memory for as long as they read here that they are good.
create trigger identities_ended after update of identity_hash, state on nodes for each row
    when (old.identity_hash is not null
          and (new.identity_hash is distinct from old.identity_hash or new.state = 'gone'))
    execute function note_identity();
create trigger identities_removed after delete on nodes for each row
    when (old.identity_hash is not null) execute function note_identity();
create index nodes_unreported on nodes (id) where report is null and state = 'launched';

-- Counts the changes of `heard`: who knows it as of one need not read it. Null: of a process that does not count yet.
alter table controls add column heard_change bigint;
