-- Tenants' own AWS accounts: nodes of one installation may be in several.

create table aws_accounts (
    id          uuid primary key,
    tenant_id   uuid not null references tenants on delete cascade,
    name        text not null,
    -- Generated, never changed, never another account's: the role's trust policy asks for it.
    external_id text not null unique,
    -- What the tenant says of it; none: not yet.
    config      jsonb,
    -- Grows with each change of config: who keeps a connection to the account makes another one.
    version     bigint not null default 1,
    -- Why AWS does not let Updraft in there, while that is so.
    refusal     text,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    -- Stays for clusters that are deleted, too, and were in it.
    deleted_at  timestamptz,
    unique (tenant_id, id)
);
create unique index aws_accounts_name on aws_accounts (tenant_id, name) where deleted_at is null;

-- None: the installation's own account, or its own machine. Written when the cluster is made, and never again.
alter table clusters add column aws_account_id uuid;
alter table clusters add constraint clusters_aws_account
    foreign key (tenant_id, aws_account_id) references aws_accounts (tenant_id, id);
create index clusters_aws_account on clusters (aws_account_id) where aws_account_id is not null;

-- A tenant tags what it likes in its own account: such nodes hold up that account's clusters and nobody else's.
alter table restore_strays add column aws_account_id uuid;
