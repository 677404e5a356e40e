//! How the metadata server is reached, by control and by clusters' nodes.
//!
//! Where nodes are instances, all that clusters keep crosses a network, and so do the administrator's statements: there nothing
//! starts that would believe whoever answers, unless the settings say so.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use updraft_app::metadata::certificates;
use updraft_store::metadata::is_verified;

use super::{ControlFile, NodesFile};

const PLAIN: &str =
    "On a network where nobody else listens or answers, `\"metadata_plain\": true` starts without.";

// === impl ControlFile ===

impl ControlFile {
    /// The certificates that nodes hold the metadata server to; None: drivers decide.
    ///
    /// # Errors
    /// When they cannot be used, or connections to the server would not be verified where they have to be.
    pub(crate) fn metadata_authority(&self) -> anyhow::Result<Option<String>> {
        let authority = self.metadata_ca_file.as_deref().map(read).transpose()?;
        let verified = is_verified(&self.metadata_url).context("`metadata_url` is no database address")?;
        if let NodesFile::Ec2(_) = self.nodes
            && !self.metadata_plain
        {
            ensure!(
                verified,
                "`metadata_url` has to end in `?sslmode=verify-full&sslrootcert=FILE`, FILE with the certificates of the server's \
                 authority in PEM: with `nodes.ec2` the connection crosses a network. {PLAIN}"
            );
            ensure!(
                authority.is_some(),
                "`metadata_ca_file` has to name the certificates, in PEM, that clusters hold the metadata server to (for RDS the \
                 bundle of its region): with `nodes.ec2` their data cross a network. {PLAIN}"
            );
        }
        Ok(authority)
    }

    /// Whether control would believe whoever answers as its own database, which may well be on another machine.
    pub(crate) fn believes_any_database(&self) -> bool {
        matches!(self.nodes, NodesFile::Ec2(_))
            && is_verified(&self.database_url).is_ok_and(|verified| !verified)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("`metadata_ca_file` ({}) cannot be read", path.display()))?;
    certificates(&text)
        .map_err(|why| anyhow::anyhow!("`metadata_ca_file` ({}) cannot be used: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    fn on_ec2() -> Value {
        json!({"ec2": {
            "control_url": "https://agents.updraft.example.com",
            "runtimes": {},
            "storage": {"region": "eu-central-1", "bucket_prefix": "updraft-", "node_keys": "shared"},
            "provider": {
                "installation": "test", "region": "eu-central-1", "subnets": ["subnet-0a1b2c3d"], "image": "ami-0a1b2c3d4e5f60718",
                "instance_profile": "node", "root_volume": {"gib": 20, "device": "/dev/xvda"}, "archives": [],
                "scheduler": {"instance_type": "m6i.large"}, "web": {"instance_type": "m6i.large"},
                "worker": {"instance_type": "m6i.large"},
            },
        }})
    }

    fn on_this_machine() -> Value {
        json!({"local": {
            "storage_socket": "/s", "storage_key_file": "/k", "broker_binary": "/b", "uv_binary": "/u", "runtimes": {},
        }})
    }

    /// What comes of these settings beside all that does not matter here.
    fn told(nodes: &Value, settings: Value) -> Result<Option<String>, String> {
        let mut file = json!({
            "data_dir": "/d", "port_base": 7700, "console_url": "http://localhost", "airflow_url": "http://localhost",
            "database_url": "postgres://localhost/updraft", "master_key_file": "/m", "edge_token_file": "/e",
            "identity_refresh_seconds": 900, "nodes": nodes,
        });
        let (Value::Object(all), Value::Object(more)) = (&mut file, settings) else {
            panic!("settings are objects");
        };
        all.extend(more);
        let file: ControlFile = serde_json::from_value(file).unwrap();
        file.metadata_authority().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn on_ec2_whoever_answers_is_believed_only_where_somebody_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("rds-ca.pem");
        fs::write(&bundle, CERTIFICATE).unwrap();
        for (query, named, word) in [
            ("", true, "`metadata_url`"),
            ("?sslmode=require", true, "`metadata_url`"),
            (
                "?sslmode=verify-full&sslrootcert=/etc/ca.pem",
                false,
                "`metadata_ca_file`",
            ),
        ] {
            let url = format!("postgres://admin:very-secret@metadata.example.com/updraft{query}");
            let mut settings = json!({"metadata_url": url});
            if named {
                settings["metadata_ca_file"] = json!(bundle);
            }
            let refused = told(&on_ec2(), settings.clone()).unwrap_err();
            assert!(
                refused.starts_with(word) && refused.contains("metadata_plain"),
                "{refused}"
            );
            assert!(!refused.contains("very-secret"));
            assert!(told(&on_this_machine(), settings.clone()).is_ok(), "{query}");
            settings["metadata_plain"] = json!(true);
            assert!(told(&on_ec2(), settings).is_ok(), "{query}");
        }
        for mode in ["verify-full", "verify-ca"] {
            let url = format!(
                "postgres://admin@metadata.example.com/updraft?sslmode={mode}&sslrootcert=/etc/ca.pem"
            );
            let settings = json!({"metadata_url": url, "metadata_ca_file": bundle});
            assert_eq!(told(&on_ec2(), settings).unwrap().unwrap(), CERTIFICATE);
        }
    }

    #[test]
    fn a_file_that_holds_no_certificates_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rds-ca.pem");
        for content in [None, Some("nothing of the kind")] {
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
            }
            let settings = json!({"metadata_url": "postgres://localhost/updraft", "metadata_ca_file": file});
            let refused = told(&on_this_machine(), settings).unwrap_err();
            assert!(
                refused.contains("`metadata_ca_file`") && refused.contains("rds-ca.pem"),
                "{refused}"
            );
        }
    }
}
