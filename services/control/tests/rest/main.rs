//! REST over a real database, as clients meet it.

#[cfg(test)]
mod access_rules;
#[cfg(test)]
mod agent_identities;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod api_tokens;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod audit_actors;
#[cfg(test)]
mod authorization_matrix;
#[cfg(test)]
mod aws;
#[cfg(test)]
mod aws_accounts;
#[cfg(test)]
mod clusters;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod dag_roles;
#[cfg(test)]
mod dag_setup;
#[cfg(test)]
mod dags;
#[cfg(test)]
mod device;
#[cfg(test)]
mod edge_policy;
#[cfg(test)]
mod edge_refusals;
#[cfg(test)]
mod environments;
#[cfg(test)]
mod event_stream;
#[cfg(test)]
mod fake_bucket;
#[cfg(test)]
mod fake_dns;
#[cfg(test)]
mod fake_sts;
#[cfg(test)]
mod forgotten_password;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod handover;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod identity_providers;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod installation_keys;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod log_roles;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod master_key;
#[cfg(test)]
mod metadata_database;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod operators_help;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod people;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod scim;
#[cfg(test)]
mod second_factor;
#[cfg(test)]
mod session_keys;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod several_tenants;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod smtp_sink;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod tunnels;
