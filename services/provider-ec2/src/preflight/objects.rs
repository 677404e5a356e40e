//! Updraft's own bucket: what nodes fetch is there, and what they leave can be written.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use reqwest::{Client, StatusCode, header};
use updraft_aws::Opens;

use super::finding::{Fault, Finding};
use crate::provider::Ec2Provider;

const WITHIN: Duration = Duration::from_secs(5);
/// Beside the logs of boots, which end there.
const PROBE: &str = "boot/preflight";

// === impl Ec2Provider ===

impl Ec2Provider {
    /// None: there is no bucket to look at.
    pub(super) async fn objects(&self) -> Option<Finding> {
        let signer = self.signer.as_ref()?;
        let archives = self
            .config
            .archives
            .iter()
            .filter_map(|archive| archive.key.clone());
        let wanted = archives.map(|key| (Opens::Reading, key));
        let wanted: Vec<_> = wanted.chain([(Opens::Writing, PROBE.to_owned())]).collect();
        let addresses = match signer.addresses(&wanted, SystemTime::now()).await {
            Ok(addresses) => addresses,
            Err(error) => return Some(Err(error.into())),
        };
        let http = Client::builder().timeout(WITHIN).build().ok()?;
        let answers = wanted
            .iter()
            .zip(&addresses)
            .map(|((opens, key), address)| tried(&http, *opens, key, address));
        let faults = join_all(answers).await.into_iter().filter_map(Result::err);
        let worst = faults.max_by_key(|fault| fault.blocks);
        Some(worst.map_or_else(
            || {
                Ok(format!(
                    "{} archives are there, and logs of boots can be written",
                    wanted.len() - 1
                ))
            },
            Err,
        ))
    }
}

/// A byte of an archive, or nothing at all.
async fn tried(http: &Client, opens: Opens, key: &str, address: &str) -> Result<(), Fault> {
    let asked = match opens {
        Opens::Reading => http.get(address).header(header::RANGE, "bytes=0-0"),
        Opens::Writing => http.put(address).body(Vec::new()),
    };
    // An error's own words hold the address, which opens the object.
    let status = asked
        .send()
        .await
        .map(|answer| answer.status())
        .map_err(|_| Fault {
            found: format!("no answer when asked for {key}"),
            remedy: Some("look whether the bucket's address can be reached from here".to_owned()),
            blocks: false,
        })?;
    match (opens, status) {
        (_, status) if status.is_success() => Ok(()),
        (Opens::Reading, StatusCode::NOT_FOUND) => Err(Fault::blocking(
            format!("{key} is not there"),
            "put the archive into the bucket, or correct `archives`",
        )),
        (Opens::Reading, status) => Err(Fault::blocking(
            format!("{key} cannot be read ({status})"),
            "allow s3:GetObject on the bucket `artifacts` to Updraft's own role (and kms:Decrypt on its key)",
        )),
        (Opens::Writing, status) => Err(Fault::lesser(
            format!("{key} cannot be written ({status}): logs of boots would be lost"),
            "allow s3:PutObject on the bucket `artifacts` to Updraft's own role (and kms:GenerateDataKey on its key)",
        )),
    }
}
