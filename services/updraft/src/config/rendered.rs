//! What `terraform/modules/updraft` tells control and edges, read with the types that they read it with.
//!
//! The module's own check keeps it in `tests/terraform/rendered` and compares it with what the module makes.

use serde_json::{Value, json};

use super::{ControlFile, EdgeFile, NodesFile};

const ALL: &str = include_str!("../../../../tests/terraform/rendered/control.json");
const LEAST: &str = include_str!("../../../../tests/terraform/rendered/control-least.json");
const EDGE: &str = include_str!("../../../../tests/terraform/rendered/edge.json");

/// A machine puts the addresses in at each start, since they are secrets.
fn control(rendered: &str) -> ControlFile {
    let mut settings: Value = serde_json::from_str(rendered).unwrap();
    for url in ["database_url", "metadata_url"] {
        settings[url] =
            json!("postgres://updraft:p@db/updraft?sslmode=verify-full&sslrootcert=/etc/updraft/rds-ca.pem");
    }
    serde_json::from_value(settings).unwrap()
}

#[test]
fn control_knows_every_setting_that_terraform_gives_it() {
    for rendered in [ALL, LEAST] {
        let NodesFile::Ec2(ec2) = control(rendered).nodes else {
            panic!("nodes are instances")
        };
        ec2.check().unwrap();
    }
}

#[test]
fn what_terraform_leaves_unsaid_is_as_control_has_it() {
    let NodesFile::Ec2(ec2) = control(LEAST).nodes else {
        panic!("nodes are instances")
    };
    assert!(ec2.shared_account && ec2.agents_first_in.is_none() && ec2.on_stop.is_none());
    let said = control(ALL);
    assert!(said.mail.is_some() && said.package_index.is_some() && said.outbound_allow.len() == 2);
}

#[test]
fn edges_know_every_setting_that_terraform_gives_them() {
    let edge: EdgeFile = serde_json::from_str(EDGE).unwrap();
    assert!(edge.https && edge.tunnel_listen.is_some());
}
