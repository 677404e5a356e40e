-- How far the turn of a cluster's keys is. Without a row, or settled, its keys are the ones it has.
create table key_turns (
    cluster_id bigint primary key references clusters on delete cascade,
    tenant_id  uuid not null references tenants on delete cascade,
    -- draining: its nodes end; they and the database know the old keys. turned: it has new ones, the database's password
    -- follows. reencrypting: nodes know the new ones; what Airflow keeps encrypted is read with either, and written anew.
    -- both: that did not work; nodes read with either.
    stage      text not null check (stage in ('draining', 'turned', 'reencrypting', 'both', 'settled')),
    -- The generation that asked for it: another one is another turn.
    attempt    bigint not null,
    -- Why what Airflow keeps encrypted is not written anew.
    failure    jsonb,
    changed_at timestamptz not null default now()
);
