//! The archive of the agent, for nodes that run another one: where it is, and addresses that open it.

use std::time::SystemTime;

use updraft_aws::{AwsError, Opens};

use crate::artifacts::Signer;
use crate::config::{Archive, Ec2Config};

/// Of `archives`, the one that nodes' agents come from.
pub struct AgentArchive {
    archive: Archive,
    signer: Option<Signer>,
}

// === impl AgentArchive ===

impl AgentArchive {
    /// None: there is none, which [`Ec2Config::check`] refuses.
    ///
    /// # Errors
    /// When the bucket's credentials cannot be read.
    pub fn open(config: &Ec2Config) -> Result<Option<Self>, AwsError> {
        let archive = config.archives.iter().find(|archive| archive.directory == AGENT);
        let Some(archive) = archive.cloned() else {
            return Ok(None);
        };
        let signer = config.artifacts.as_ref().map(Signer::open).transpose()?;
        Ok(Some(Self { archive, signer }))
    }

    /// Lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.archive.sha256
    }

    /// An address good for one to two hours, or the one that needs no credentials. None: the archive has neither.
    ///
    /// # Errors
    /// When credentials are not to be had.
    pub async fn address(&self) -> Result<Option<String>, AwsError> {
        match (&self.archive.key, &self.signer) {
            (Some(key), Some(signer)) => {
                let objects = [(Opens::Reading, key.clone())];
                let addresses = signer.addresses(&objects, SystemTime::now()).await?;
                Ok(addresses.into_iter().next())
            }
            _ => Ok(self.archive.url.as_ref().map(ToString::to_string)),
        }
    }
}

/// Below `/opt/updraft`, where the unit has it.
const AGENT: &str = "agent";
