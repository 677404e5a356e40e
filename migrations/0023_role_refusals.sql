-- Why a role could not be assumed again, in words for its tenant. Null: it could, when it was last tried.
alter table credentials add column refusal text;
