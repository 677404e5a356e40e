-- The external id of a tenant's account is exchanged in two steps: the next one waits here, and is used for nothing, until AWS lets
-- Updraft in by it. Then it takes the present one's place.
alter table aws_accounts add column next_external_id text unique;
alter table aws_accounts add constraint aws_accounts_next_is_another check (next_external_id <> external_id);
