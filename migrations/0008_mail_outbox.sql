-- A forgotten password. A link without a tenant in `password_links` was made by no owner: it went to the account's own
-- address.

-- What waits to be mailed. Asking writes the same row for every address; whose it is, is looked up afterwards.
create table mail_outbox (
    id              uuid primary key,
    -- In lower case: as somebody typed it, and once it was looked up as the account has it.
    recipient       text not null,
    -- Where it was asked from, for the audit log.
    address         inet,
    user_agent      text,
    request_id      text,
    -- From here on null until the address was looked up.
    tenant_id       uuid references tenants on delete cascade,
    link_hash       bytea references password_links on delete cascade,
    -- The link itself, encrypted under the master key; null again once it was sent.
    link_ciphertext bytea,
    expires_at      timestamptz,
    created_at      timestamptz not null default now(),
    due_at          timestamptz not null default now(),
    tries           int not null default 0,
    -- The last try to send it, and whether that failed.
    tried_at        timestamptz,
    failed          boolean not null default false,
    -- Sent, or given up.
    done_at         timestamptz
);
create index mail_outbox_waiting on mail_outbox (due_at) where done_at is null;
create index mail_outbox_tried on mail_outbox (tried_at) where tried_at is not null;
create index mail_outbox_by_link on mail_outbox (link_hash);
