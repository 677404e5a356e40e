//! What a cluster's own variables and secrets add to its services. Pure.
//!
//! Nothing that Updraft or the runtime sets is ever replaced, whatever a spec says. The broker gets nothing of it, and the
//! pre-imported parent, which every service remembers, only the options of Airflow.

use indexmap::IndexMap;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use updraft_api::agent::ServiceAssignment;
use updraft_model::ClusterSpec;
use updraft_runtimes::Runtime;

use super::AssignmentInputs;

/// As `updraft_airflow/logs/masks.py` reads it.
const SECRETS: &str = "UPDRAFT_SECRETS";

/// The options of Airflow that the tenant sets, in whichever way.
pub(super) fn overrides(runtime: &Runtime, spec: &ClusterSpec) -> IndexMap<String, String> {
    let named = spec.environment_variables.iter().filter_map(|(name, value)| {
        let option = runtime.option_of_variable(name)?;
        Some((option.key.clone(), value.clone()))
    });
    spec.config.clone().into_iter().chain(named).collect()
}

/// Lays variables and secrets beside what the service has. A changed secret restarts it by its revision: no digest of a value
/// leaves control.
pub(super) fn add(service: &mut ServiceAssignment, inputs: &AssignmentInputs<'_>) {
    let (variables, secrets) = (&inputs.spec.environment_variables, &inputs.secrets.tasks);
    let mut hash = Sha256::new_with_prefix(&service.digest);
    let mut note = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for (name, value) in variables {
        service.env.entry(name.clone()).or_insert_with(|| value.clone());
        note(name);
        note(value);
    }
    for secret in secrets {
        note(&secret.name);
        note(&secret.revision.to_string());
        if !service.env.contains_key(&secret.name) {
            let value = secret.value.expose_secret().to_owned();
            service.env.insert(secret.name.clone(), value);
            service.secrets.push(secret.name.clone());
        }
    }
    if !service.secrets.is_empty() {
        // Whoever writes logs of tasks masks their values.
        service.env.insert(SECRETS.to_owned(), service.secrets.join(","));
    }
    if !(variables.is_empty() && secrets.is_empty()) {
        service.digest = hex::encode(hash.finalize());
    }
}
