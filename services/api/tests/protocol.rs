//! What version 1 of the agents' and edges' protocols sent, as it was recorded of real processes (`protocol-1/`; secrets and
//! long texts are cut), against what is here now. Both directions: what an older one sends can be read, and what is sent to
//! an older one has all that it knew, under the same names and of the same shape. It passes over all else.

#![expect(clippy::unwrap_used, reason = "a test")]

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use updraft_api::agent::{Assignment, Register, Registered, Report};
use updraft_api::edge::{HandoverRedeemed, RedeemHandover, Snapshot, TokenUses};
use updraft_api::edge_refusals::Refusals;
use updraft_api::tunnel::TunnelCertificate;
use updraft_authz::SigningKey;

fn recorded(name: &str) -> Value {
    let path = format!("{}/tests/protocol-1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What comes out of reading it and writing it again has all of it.
fn goes_both_ways<T: Serialize + DeserializeOwned>(name: &str) {
    both_ways::<T>(name, &recorded(name));
}

fn both_ways<T: Serialize + DeserializeOwned>(name: &str, old: &Value) {
    let read: T = serde_json::from_value(old.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let written = serde_json::to_value(&read).unwrap();
    if let Err(place) = has_all_of(&written, old) {
        panic!("{name}: what version 1 had at {place} is not there any more");
    }
}

/// A field that is null may be left out: version 1 reads both alike.
fn has_all_of(new: &Value, old: &Value) -> Result<(), String> {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (key, value) in old {
                let found = new.get(key).unwrap_or(&Value::Null);
                has_all_of(found, value).map_err(|place| format!(".{key}{place}"))?;
            }
            Ok(())
        }
        (Value::Array(new), Value::Array(old)) if new.len() == old.len() => {
            for (number, (new, old)) in new.iter().zip(old).enumerate() {
                has_all_of(new, old).map_err(|place| format!("[{number}]{place}"))?;
            }
            Ok(())
        }
        (new, old) if new == old => Ok(()),
        (new, old) => Err(format!(": {new} instead of {old}")),
    }
}

#[test]
fn agents_of_version_1_understand_and_are_understood() {
    goes_both_ways::<Register>("register");
    goes_both_ways::<Registered>("registered");
    for role in ["scheduler", "web", "worker"] {
        goes_both_ways::<Assignment>(&format!("assignment-{role}"));
        goes_both_ways::<Report>(&format!("report-{role}"));
    }
}

#[test]
fn edges_of_version_1_understand_and_are_understood() {
    goes_both_ways::<RedeemHandover>("edge-redeem");
    goes_both_ways::<HandoverRedeemed>("edge-redeemed");
    goes_both_ways::<TokenUses>("edge-token-uses");
    goes_both_ways::<Refusals>("edge-refusals");
    goes_both_ways::<TunnelCertificate>("edge-tunnel-certificate");
    // The recording has no key in it.
    let mut snapshot = recorded("edge-snapshot");
    let mut key = serde_json::to_value(SigningKey::from_seed("airflow", &[7; 32]).unwrap()).unwrap();
    let names = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&key), names(&snapshot["airflow_key"]));
    std::mem::swap(&mut snapshot["airflow_key"], &mut key);
    both_ways::<Snapshot>("edge-snapshot", &snapshot);
}

#[test]
fn what_is_missing_or_of_another_shape_is_found() {
    let old = serde_json::json!({"a": [{"b": 1, "c": null}]});
    assert_eq!(
        has_all_of(&serde_json::json!({"a": [{"b": 1}], "new": 2}), &old),
        Ok(())
    );
    for new in [
        serde_json::json!({"a": [{"b": "1"}]}),
        serde_json::json!({"a": [{"b": [1]}]}),
        serde_json::json!({"a": []}),
        serde_json::json!({}),
    ] {
        assert!(has_all_of(&new, &old).is_err(), "{new}");
    }
}
