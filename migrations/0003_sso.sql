-- Who people are (identity providers, directories, tokens), what their groups may do, and what was done.

-- === People and their standing in a tenant ===

-- local: an account of Updraft's own, with a password, good in every tenant that invited it.
-- directory: came from one tenant's identity provider or directory, and exists in that tenant alone.
-- service: a program. It signs in by API token only.
alter table users
    add column origin text not null default 'local' check (origin in ('local', 'directory', 'service')),
    -- An operator runs the installation. Set by the installation itself, never by anything a tenant controls.
    add column operator boolean not null default false,
    -- TOTP secret (RFC 6238), encrypted under the master key; confirmed once a code of it was shown.
    add column totp_ciphertext bytea,
    add column totp_confirmed_at timestamptz,
    -- The last time step a code was used for: a code is good once.
    add column totp_last_step bigint,
    -- SHA-256 of unused recovery codes.
    add column recovery_hashes bytea[] not null default '{}';
-- An address is no identity: only accounts that sign in by address need it to be their own.
alter table users drop constraint users_email_key;
create unique index users_email_key on users (email) where origin = 'local';

alter table memberships
    -- A directory (SCIM) or an owner switched the person off; sessions and tokens of theirs are worth nothing meanwhile.
    add column disabled_at timestamptz;

alter table tenants
    -- Whether members may sign in with a password of Updraft's own.
    add column password_sign_in boolean not null default true,
    -- The longest a session lasts, in seconds; null: the installation's own limit.
    add column session_seconds int check (session_seconds between 300 and 2592000);

-- === Identity providers ===

create table identity_providers (
    id          uuid primary key,
    tenant_id   uuid not null references tenants on delete cascade,
    kind        text not null check (kind in ('oidc', 'saml')),
    name        text not null,
    -- Only an enabled one signs people in; it is enabled after a test of this very configuration passed.
    enabled     boolean not null default false,
    config      jsonb not null,
    -- OIDC client secret, SAML decryption key: encrypted under the master key.
    secret_ciphertext bytea,
    version     bigint not null default 1,
    -- The last test: {"version": n, "at": …, "passed": bool, "checks": […]}
    last_test   jsonb,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    unique (tenant_id, id)
);
create unique index identity_providers_name on identity_providers (tenant_id, lower(name));

-- Who someone is to an identity provider. Never the e-mail address.
create table identities (
    tenant_id   uuid not null references tenants on delete cascade,
    -- OIDC issuer or SAML entity id.
    issuer      text not null,
    subject     text not null,
    provider_id uuid not null,
    user_id     uuid not null,
    -- What the provider last said of the person.
    groups      text[] not null default '{}',
    email_verified boolean not null default false,
    hosted_domain text,
    -- OIDC refresh token, encrypted; asked with it now and then whether person and groups are still the same.
    refresh_ciphertext bytea,
    refresh_due_at timestamptz,
    seen_at     timestamptz not null default now(),
    primary key (tenant_id, issuer, subject),
    foreign key (tenant_id, provider_id) references identity_providers (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references memberships (tenant_id, user_id) on delete cascade
);
create index identities_by_user on identities (tenant_id, user_id);
create index identities_due on identities (refresh_due_at) where refresh_due_at is not null;

-- A sign-in on its way through a provider: bound to the browser that began it, used once.
create table sign_in_attempts (
    state_hash   bytea primary key,
    tenant_id    uuid not null references tenants on delete cascade,
    provider_id  uuid not null,
    binding_hash bytea not null,
    -- nonce and PKCE verifier (OIDC) or request id (SAML), encrypted.
    ciphertext   bytea not null,
    return_to    text,
    -- True: a test of the configuration by an owner; signs nobody in.
    is_test      boolean not null default false,
    expires_at   timestamptz not null,
    used_at      timestamptz,
    foreign key (tenant_id, provider_id) references identity_providers (tenant_id, id) on delete cascade
);

-- SAML assertions that were accepted: none is twice.
create table saml_assertions (
    provider_id  uuid not null references identity_providers on delete cascade,
    assertion_id text not null,
    expires_at   timestamptz not null,
    primary key (provider_id, assertion_id)
);

-- Domains that a tenant claims for its people's addresses; one tenant at most has proven one.
create table domains (
    tenant_id   uuid not null references tenants on delete cascade,
    domain      text not null check (domain = lower(domain)),
    -- What the DNS TXT record has to say.
    challenge   text not null,
    provider_id uuid,
    verified_at timestamptz,
    created_at  timestamptz not null default now(),
    primary key (tenant_id, domain),
    foreign key (tenant_id, provider_id) references identity_providers (tenant_id, id)
);
create unique index domains_verified on domains (domain) where verified_at is not null;

-- === Sessions and tokens ===

alter table sessions
    -- How the person proved who they are: null for a password.
    add column provider_id uuid references identity_providers on delete cascade,
    -- OIDC `sid` or SAML SessionIndex, for logout that the provider begins; the id token for logout that we begin.
    add column provider_session text,
    add column provider_subject text,
    add column id_token_ciphertext bytea,
    add column address inet,
    add column user_agent text,
    add column used_at timestamptz;
create index sessions_by_provider on sessions (provider_id, provider_subject) where provider_id is not null;

create table api_tokens (
    id           uuid primary key,
    tenant_id    uuid not null,
    -- Whose it is: a person or a service account.
    user_id      uuid not null,
    name         text not null,
    -- What it may at most: all that its owner may (full), cluster admin (admin), cluster user (user), or SCIM alone (scim).
    role         text not null check (role in ('full', 'admin', 'user', 'scim')),
    token_hash   bytea not null unique,
    -- The last four characters, to recognise it by.
    hint         text not null,
    created_by   uuid references users on delete set null,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    used_at      timestamptz,
    revoked_at   timestamptz,
    foreign key (tenant_id, user_id) references memberships (tenant_id, user_id) on delete cascade
);
create index api_tokens_by_user on api_tokens (tenant_id, user_id);

-- Device authorization grant (RFC 8628).
create table device_authorizations (
    device_hash   bytea primary key,
    -- What the person types, eight consonants without its hyphen.
    user_code     text not null unique,
    client_name   text not null,
    address       inet,
    state         text not null default 'pending' check (state in ('pending', 'approved', 'denied', 'used')),
    -- Who approved, and with which session: the session that the device gets is made when it asks.
    tenant_id     uuid,
    user_id       uuid,
    approved_by_session uuid references sessions on delete cascade,
    polled_at     timestamptz,
    created_at    timestamptz not null default now(),
    expires_at    timestamptz not null
);

-- Links sent by mail or handed over by an owner: a new password.
create table password_links (
    link_hash  bytea primary key,
    user_id    uuid not null references users on delete cascade,
    purpose    text not null check (purpose in ('reset', 'invite')),
    expires_at timestamptz not null,
    used_at    timestamptz
);

-- === Directory (SCIM 2.0, RFC 7643) ===

create table scim_users (
    tenant_id   uuid not null,
    user_id     uuid not null,
    user_name   text not null,
    external_id text,
    -- The resource's other attributes, as they came.
    attributes  jsonb not null default '{}',
    version     bigint not null default 1,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    primary key (tenant_id, user_id),
    foreign key (tenant_id, user_id) references memberships (tenant_id, user_id) on delete cascade
);
create unique index scim_users_name on scim_users (tenant_id, lower(user_name));

create table scim_groups (
    id           uuid primary key,
    tenant_id    uuid not null references tenants on delete cascade,
    display_name text not null,
    external_id  text,
    version      bigint not null default 1,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    unique (tenant_id, id)
);
create unique index scim_groups_name on scim_groups (tenant_id, lower(display_name));

create table scim_group_members (
    tenant_id uuid not null,
    group_id  uuid not null,
    user_id   uuid not null,
    primary key (group_id, user_id),
    foreign key (tenant_id, group_id) references scim_groups (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references memberships (tenant_id, user_id) on delete cascade
);
create index scim_group_members_by_user on scim_group_members (tenant_id, user_id);

-- === Rules ===

-- "group data-platform → admin on tag env=prod".
create table access_rules (
    id         uuid primary key,
    tenant_id  uuid not null references tenants on delete cascade,
    -- {"group": "data-platform"} | {"domain": "example.com"} | {"email": "ada@example.com"} | "everyone"
    who        jsonb not null,
    role       text not null check (role in ('user', 'admin')),
    -- "every_cluster" | {"cluster": 7} | {"tag": {"key": "env", "value": "prod"}}
    target     jsonb not null,
    created_by uuid references users on delete set null,
    created_at timestamptz not null default now()
);
create index access_rules_by_tenant on access_rules (tenant_id);

-- === Audit log ===

create table audit_log (
    id          bigint generated always as identity primary key,
    -- Null: nobody's in particular (a sign-in for an unknown address), or the operator's own.
    tenant_id   uuid,
    at          timestamptz not null default now(),
    -- person, service, operator, provider (an identity provider or directory), system, nobody
    actor_kind  text not null,
    actor_id    uuid,
    -- As they were called then.
    actor_name  text not null,
    -- Session or token it was done with.
    credential  text,
    -- `cluster.start`, `sign_in.password`, `access_rule.create` …
    action      text not null,
    outcome     text not null check (outcome in ('done', 'refused', 'failed')),
    -- Why it was refused or failed: a stable word.
    reason      text,
    -- `cluster:7`, `person:…`
    target      text,
    target_name text,
    before      jsonb,
    after       jsonb,
    address     inet,
    user_agent  text,
    request_id  text
);
create index audit_log_by_tenant on audit_log (tenant_id, id desc);
create index audit_log_by_action on audit_log (tenant_id, action, id desc);

create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only';
end $$;
create trigger audit_log_append_only before update or delete on audit_log
    for each row execute function audit_log_is_append_only();
create trigger audit_log_not_truncated before truncate on audit_log
    for each statement execute function audit_log_is_append_only();

-- How far the log was copied to S3.
create table audit_exports (
    tenant_id  uuid primary key references tenants on delete cascade,
    last_id    bigint not null default 0,
    exported_at timestamptz
);

-- === What edges and event streams must hear of ===

create trigger rules_changed after insert or update or delete on access_rules for each statement execute function notify_policy();
create trigger identities_changed after insert or update of groups, email_verified, hosted_domain or delete on identities
    for each statement execute function notify_policy();
create trigger scim_members_changed after insert or update or delete on scim_group_members for each statement execute function notify_policy();
create trigger scim_groups_changed after update of display_name or delete on scim_groups for each statement execute function notify_policy();
create trigger tokens_changed after insert or update of expires_at, revoked_at or delete on api_tokens
    for each statement execute function notify_policy();
create trigger specs_changed after update of spec on clusters for each statement execute function notify_policy();
