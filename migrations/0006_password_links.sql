-- A link that an owner made works as long as the account is that tenant's alone: nobody takes over one that others trust.
alter table password_links
    -- Whose owner made it.
    add column tenant_id uuid references tenants on delete cascade;
create index password_links_by_user on password_links (user_id);
