//! What instances said while they booted, as they left it below `boot/` in Updraft's own bucket.
//!
//! A node may write that one object as it likes: only its end is fetched, however long it is.

use std::time::{Duration, SystemTime};

use reqwest::{Client, StatusCode, header};
use thiserror::Error;
use updraft_aws::{AwsError, Opens};
use updraft_model::NodeId;

use crate::artifacts::Signer;
use crate::config::Ec2Config;

const WITHIN: Duration = Duration::from_secs(5);

/// Reads them.
pub struct BootLogs {
    signer: Option<Signer>,
    http: Client,
}

#[derive(Debug, Error)]
pub enum BootLogError {
    #[error("the bucket `artifacts` cannot be asked")]
    Setup(#[from] AwsError),
    /// An error's own words hold the address, which opens the object.
    #[error("the bucket `artifacts` does not answer")]
    NoAnswer,
    #[error("the bucket `artifacts` does not give it away ({0})")]
    Refused(StatusCode),
}

// === impl BootLogs ===

impl BootLogs {
    /// # Errors
    /// When the bucket's credentials cannot be read.
    pub fn open(config: &Ec2Config) -> Result<Self, BootLogError> {
        let http = Client::builder().timeout(WITHIN).no_proxy().build();
        Ok(Self {
            signer: config.artifacts.as_ref().map(Signer::open).transpose()?,
            http: http.map_err(|_| BootLogError::NoAnswer)?,
        })
    }

    /// The last so many bytes. None: it left none, or not yet.
    ///
    /// # Errors
    /// When the bucket does not answer, or refuses.
    pub async fn end_of(&self, node: NodeId, most: usize) -> Result<Option<Vec<u8>>, BootLogError> {
        let Some(signer) = &self.signer else {
            return Ok(None);
        };
        let objects = [(Opens::Reading, key(node))];
        let addresses = signer.addresses(&objects, SystemTime::now()).await?;
        let address = addresses.into_iter().next().unwrap_or_default();
        let asked = self
            .http
            .get(address)
            .header(header::RANGE, format!("bytes=-{most}"));
        let mut answer = asked.send().await.map_err(|_| BootLogError::NoAnswer)?;
        match answer.status() {
            status if status.is_success() => {}
            // An empty object has no last bytes.
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => return Ok(None),
            status => return Err(BootLogError::Refused(status)),
        }
        // A store that knows no ranges sends all: no more than its beginning is taken.
        let mut read = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|_| BootLogError::NoAnswer)? {
            let room = most - read.len();
            read.extend_from_slice(&part[..part.len().min(room)]);
            if read.len() == most {
                break;
            }
        }
        Ok(Some(read))
    }
}

pub(crate) fn key(node: impl std::fmt::Display) -> String {
    format!("boot/{node}.log")
}
