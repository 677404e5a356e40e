//! Addresses for one node: what it fetches, and where it leaves what its boot said.
//!
//! Made at each launch, since they are good for a short time, and the same for all launches of one hour with the same
//! credentials: EC2 takes a launch for the one before only if its user data is the same, too.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use updraft_aws::{AwsError, Bucket, CredentialSource, Opens, own_credentials};

use crate::config::Artifacts;

const HOUR: u64 = 60 * 60;
/// From the hour's beginning.
const LAST: Duration = Duration::from_secs(2 * HOUR);

pub(crate) struct Signer {
    bucket: Bucket,
    credentials: Arc<dyn CredentialSource>,
}

// === impl Signer ===

impl Signer {
    pub(crate) fn open(artifacts: &Artifacts) -> Result<Self, AwsError> {
        Ok(Self {
            bucket: Bucket {
                name: artifacts.bucket.clone(),
                region: artifacts.region.clone(),
                endpoint: artifacts.endpoint.clone(),
            },
            credentials: own_credentials(artifacts.keys_file.as_deref())?,
        })
    }

    /// An address for each key, in their order, all by the same credentials.
    pub(crate) async fn addresses(
        &self,
        objects: &[(Opens, String)],
        now: SystemTime,
    ) -> Result<Vec<String>, AwsError> {
        let credentials = self.credentials.credentials().await?;
        let span = (hour_of(now), LAST);
        let address = |(opens, key): &(Opens, String)| self.bucket.address(*opens, key, &credentials, span);
        objects.iter().map(address).collect()
    }
}

fn hour_of(now: SystemTime) -> SystemTime {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs() / HOUR * HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_an_hour_the_time_is_the_same() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(hour_of(at(2 * HOUR)), hour_of(at(3 * HOUR - 1)));
        assert_eq!(hour_of(at(3 * HOUR)), at(3 * HOUR));
    }
}
