//! Which crate may use which: the arrows of ARCHITECTURE.md, read from `cargo metadata`. Any other one fails.
//! Beside it, what `cargo run` runs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the workspace should stop at once"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// From the top of the house to its foundation; an arrow may only go down, to any lower floor.
const FLOORS: &[&[&str]] = &[
    &["updraft", "hostile"],
    &["control", "console", "edge", "agent", "embedded", "provider-ec2"],
    &["app", "sso", "client"],
    &["store", "provider", "planner", "runtimes", "logs"],
    &["authz", "api", "aws", "outbound", "tunnel"],
    &["model", "testing"],
];

/// Arrows between rooms of one floor that the house has on purpose.
const BESIDE: &[(&str, &str)] = &[("api", "authz"), ("app", "sso"), ("provider-ec2", "provider")];

/// What holds the control plane's secrets is out of reach for what faces browsers or runs on nodes.
const OUT_OF_REACH: &[(&str, &[&str])] = &[
    ("edge", &["store", "provider", "app", "sso"]),
    ("agent", &["store", "provider", "app", "sso"]),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn arrows_only_go_down() {
    let wrong: Vec<_> = arrows()
        .iter()
        .flat_map(|(from, tos)| tos.iter().map(move |to| (from.clone(), to.clone())))
        .filter(|(from, to)| !allowed(from, to))
        .map(|(from, to)| format!("{from} → {to}"))
        .collect();
    assert!(wrong.is_empty(), "arrows that the house does not have: {wrong:?}");
}

#[test]
fn edge_and_agent_cannot_reach_the_control_planes_inside() {
    let arrows = arrows();
    for (from, forbidden) in OUT_OF_REACH {
        let reached = reach(&arrows, from);
        let wrong: Vec<_> = forbidden.iter().filter(|to| reached.contains(**to)).collect();
        assert!(wrong.is_empty(), "{from} reaches {wrong:?}");
    }
}

#[test]
fn every_crate_has_its_floor() {
    let homeless: Vec<_> = arrows()
        .into_keys()
        .filter(|name| floor(name).is_none())
        .collect();
    assert!(
        homeless.is_empty(),
        "give these a place in ARCHITECTURE.md and in this test: {homeless:?}"
    );
}

#[test]
fn cargo_run_is_the_binary_of_the_readme() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let run: Vec<_> = packages
        .filter_map(|package| package["default_run"].as_str())
        .collect();
    assert_eq!(
        run,
        ["updraft"],
        "with several binaries and no default-run cargo refuses"
    );
}

#[test]
fn the_test_itself_can_fail() {
    assert!(!allowed("model", "api") && !allowed("edge", "control") && !allowed("store", "app"));
    assert!(allowed("control", "store") && allowed("updraft", "model"));
}

fn allowed(from: &str, to: &str) -> bool {
    let (Some(above), Some(below)) = (floor(from), floor(to)) else {
        return false;
    };
    above < below || BESIDE.contains(&(from, to))
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

fn reach(arrows: &Arrows, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for next in arrows.get(&name).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

/// What each crate of the workspace is built from; what only its tests use does not count.
fn arrows() -> Arrows {
    let packages = metadata()["packages"].as_array().unwrap().clone();
    packages
        .iter()
        .map(|package| (short(&package["name"]), dependencies(package)))
        .collect()
}

fn dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    let ours = all.filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev");
    ours.map(|dependency| short(&dependency["name"])).collect()
}

fn short(name: &Value) -> String {
    let name = name.as_str().unwrap();
    name.strip_prefix("updraft-").unwrap_or(name).to_owned()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
