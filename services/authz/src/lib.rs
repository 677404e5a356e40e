//! Who may do what, and why; and the signed tokens that carry it. Pure: time and keys come in as parameters.
//!
//! Control decides with [`tenant_allows`] and [`effective_role`] (or its compiled form, [`CompiledRules`]); the edge reads
//! what that came to, for everybody, in the [`Policy`] that control pushed to it. [`explain`] says why.
//! Where somebody asks from, both are told by [`TrustedProxies`].

mod api_token;
mod credential;
mod effective;
mod explain;
mod keys;
mod policy;
mod roles;
mod rules;
mod tokens;
mod trusted_proxies;
mod visitor;

pub use api_token::{ApiToken, TokenHash};
pub use credential::Credential;
pub use effective::{CompiledRules, PersonRules, effective_role};
pub use explain::{Outcome, Reason, explain};
pub use keys::{KeyError, PublicKey, SigningKey};
pub use policy::{ClusterPolicy, Policy, TokenPolicy};
pub use roles::{
    Actor, ClusterAction, Grant, TenantAction, Why, cluster_allows, cluster_role, tenant_allows,
};
pub use rules::{AccessRule, ClusterFacts, PersonFacts, Tag, Target, Who};
pub use tokens::{
    AIRFLOW_ISSUER, AirflowClaims, SESSION_AUDIENCE, SESSION_ISSUER, SessionClaims, TokenError,
    airflow_audience, mint_airflow_token, mint_session_token, verify_session_token,
};
pub use trusted_proxies::{InvalidProxy, TrustedProxies, TrustedProxy, X_FORWARDED_FOR};
pub use visitor::{Proof, Visitor};
