//! Volumes that were made with nodes and that no instance has any more. EC2 deletes each with its instance, which is what
//! the launch asks for (`DeleteOnTermination`), unless somebody changed that by hand.

use serde::Deserialize;
use updraft_aws::{AwsError, EC2, Params};
use updraft_model::{ClusterId, NodeId};
use updraft_provider::{LeftVolume, ProviderError, ProviderId};
use uuid::Uuid;

use crate::answers::{Done, Page, Set, Tag};
use crate::provider::{Ec2Provider, PAGE, is_unauthorized};
use crate::refusal::provider_error;
use crate::request::{CLUSTER, INSTALLATION, NODE};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volumes {
    #[serde(default)]
    volume_set: Set<Volume>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    volume_id: String,
    #[serde(default)]
    tag_set: Set<Tag>,
}

// === impl Ec2Provider ===

impl Ec2Provider {
    /// A stopped instance still has its own.
    pub(crate) async fn unattached(&self) -> Result<Vec<LeftVolume>, ProviderError> {
        let asked = Params::default()
            .with("MaxResults", PAGE)
            .with_filter(&format!("tag:{INSTALLATION}"), [&self.config.installation])
            .with_filter("status", ["available"]);
        let pages: Vec<Volumes> = self.pages("DescribeVolumes", &asked).await?;
        let volumes = pages.into_iter().flat_map(|page| page.volume_set.items);
        Ok(volumes.filter_map(|volume| volume.left()).collect())
    }

    pub(crate) async fn end_volume(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let asked = Params::default().with("VolumeId", id);
        match self.aws.query::<Done>(EC2, "DeleteVolume", &asked).await {
            Ok(Done {}) => Ok(()),
            Err(error) if is_unknown(&error) => Ok(()),
            // One that is gone has no tags by which it could be allowed.
            Err(error) if is_unauthorized(&error) && self.has_no_volume(id).await => Ok(()),
            Err(error) => Err(provider_error(&error)),
        }
    }

    async fn has_no_volume(&self, id: &ProviderId) -> bool {
        let asked = Params::default().with_list("VolumeId", [id]);
        match self.aws.query::<Volumes>(EC2, "DescribeVolumes", &asked).await {
            Ok(found) => found.volume_set.items.is_empty(),
            Err(error) => is_unknown(&error),
        }
    }
}

fn is_unknown(error: &AwsError) -> bool {
    error.code() == Some("InvalidVolume.NotFound")
}

// === impl Volumes ===

impl Page for Volumes {
    fn take_next(&mut self) -> Option<String> {
        self.next_token.take()
    }
}

// === impl Volume ===

impl Volume {
    /// None: its tags are not those of a node's.
    fn left(self) -> Option<LeftVolume> {
        Some(LeftVolume {
            cluster: ClusterId(self.tag_set.tag(CLUSTER)?.parse().ok()?),
            node: NodeId(Uuid::parse_str(self.tag_set.tag(NODE)?).ok()?),
            id: ProviderId(self.volume_id),
        })
    }
}
