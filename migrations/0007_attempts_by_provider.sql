-- Of one provider only the newest attempts are kept, each time another one begins.
create index sign_in_attempts_by_provider on sign_in_attempts (tenant_id, provider_id, expires_at);
