-- A master key can be exchanged while control runs.
--
-- Each control process says which keys it holds, the one that it seals under first: nothing is sealed under a key that
-- another process could not open. None: a release that knows of one key only.
alter table controls add column master_keys text[] not null default '{}';

-- Webhooks' secrets were derived from the master key, and would have changed with it. Kept now, for the turn that they
-- are of; those of before are written down when control starts.
alter table dag_hooks
    add column secret_ciphertext bytea,
    add column secret_turn integer;
