//! Volumes that outlive their instances.

use serde_json::{Value, json};
use updraft_model::{ClusterId, NodeAccount, NodeRole};
use updraft_provider::{LeftVolume, NodeProvider as _, NodeStatus};

use crate::datacentre::{ACCOUNT, DataCentre, REGION, launch, wanted};
use crate::laws::until;

impl DataCentre {
    async fn volumes(&self) -> Value {
        self.ask("volumes", json!({"account": ACCOUNT, "region": REGION}))
            .await
    }
}

#[tokio::test]
async fn a_volume_that_was_kept_by_hand_is_listed_once_its_instance_is_gone_and_deleted_for_ever() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let provider = centre.provider().await;
    let (kept, plain) = (wanted(1, NodeRole::Worker), wanted(1, NodeRole::Worker));
    let launched = [
        launch(&provider, &kept).await.unwrap().id,
        launch(&provider, &plain).await.unwrap().id,
    ];
    centre
        .ask(
            "keep-volume",
            json!({"account": ACCOUNT, "region": REGION, "instance": launched[0].0}),
        )
        .await;
    let left = async || provider.left_volumes(NodeAccount::Installation).await.unwrap();
    assert_eq!(left().await, [], "an instance has each of them");
    for id in &launched {
        until(async || provider.terminate(id).await.is_ok()).await;
        until(async || {
            let status = provider.describe(id).await.unwrap();
            matches!(status, NodeStatus::Gone | NodeStatus::Unknown)
        })
        .await;
    }
    let found = left().await;
    let [volume] = found.as_slice() else {
        panic!("{found:?}, {}", centre.volumes().await);
    };
    let LeftVolume { id, cluster, node } = volume;
    assert_eq!((*cluster, *node), (ClusterId(1), kept.node));

    // Of another installation's it sees nothing.
    let mut config = centre.config().await;
    config["installation"] = json!("other");
    let other = centre.provider_with(config).await;
    assert_eq!(other.left_volumes(NodeAccount::Installation).await.unwrap(), []);

    provider.delete_volume(id).await.unwrap();
    provider.delete_volume(id).await.unwrap();
    assert_eq!((left().await, centre.volumes().await), (vec![], json!([])));
}
