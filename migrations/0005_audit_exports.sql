-- How far the audit log was copied to S3, for each tenant. Nothing was copied yet: the table is made anew.
drop table audit_exports;
create table audit_exports (
    -- Null: lines that are nobody's in particular. No reference: the lines of a tenant that is gone are copied too.
    tenant_id   uuid,
    -- All up to here is there …
    last_id     bigint not null default 0,
    -- … and all up to here is on its way: the same object again after a crash.
    sending_id  bigint check (sending_id > last_id),
    -- One process sends at a time.
    lease_until timestamptz,
    exported_at timestamptz,
    unique nulls not distinct (tenant_id)
);
