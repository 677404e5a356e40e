//! The provider as controls meet it: the simulated one, which may refuse what it is asked until somebody mends that, and
//! which some requests never reach.

use std::cell::RefCell;

use serde_json::Value;
use updraft_model::{ClusterId, NodeAccount};
use updraft_provider::simulated::SimulatedProvider;
use updraft_provider::{
    BootSecret, ClientToken, ClusterWanted, LaunchRequest, Launched, LeftVolume, ListedNode, NetworkId,
    NodeProvider as _, NodeStatus, NodeWanted, ProviderError, ProviderId,
};

use super::dice::Dice;

/// Machines of these types it never launches: the one is refused when it is asked for, the other before that.
pub(crate) const REFUSED_TYPES: [&str; 2] = ["type.3", "type.4"];

/// What it does not do until that is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The account has as many machines as it may have.
    Quota,
    /// It has no machine to give.
    Capacity,
    /// The subnet that nodes are to be in is not there.
    Subnet,
    /// Who asks may look, and change nothing.
    Changes,
    /// Who asks may do nothing at all.
    Everything,
}

/// What it is in the mood for.
pub(crate) struct Mood {
    pub(crate) refusal: Option<Refusal>,
    /// Of 100 requests, so many never reach it.
    pub(crate) unheard: u8,
    dice: Dice,
}

pub(crate) struct Api<'a> {
    pub(crate) provider: &'a SimulatedProvider,
    pub(crate) mood: &'a RefCell<Mood>,
}

#[derive(Clone, Copy)]
enum Call {
    Look,
    /// Of a machine, to be or to be on.
    Launch,
    Start,
    Prepare,
    End,
}

// === impl Refusal ===

impl Refusal {
    pub(crate) const ALL: [Self; 5] = [
        Self::Quota,
        Self::Capacity,
        Self::Subnet,
        Self::Changes,
        Self::Everything,
    ];

    fn of(self, call: Call) -> Option<ProviderError> {
        match (self, call) {
            (Self::Quota, Call::Launch | Call::Start) => {
                Some(ProviderError::Quota("no more machines of this kind".to_owned()))
            }
            (Self::Capacity, Call::Launch | Call::Start) => {
                Some(ProviderError::Capacity("none of this kind here".to_owned()))
            }
            (Self::Subnet, Call::Launch | Call::Prepare) => {
                Some(ProviderError::Refused("there is no such subnet".to_owned()))
            }
            (Self::Changes, Call::Launch | Call::Start | Call::Prepare | Call::End)
            | (Self::Everything, _) => Some(ProviderError::Refused("the role may not do this".to_owned())),
            (Self::Quota | Self::Capacity | Self::Subnet | Self::Changes, _) => None,
        }
    }
}

// === impl Mood ===

impl Mood {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            refusal: None,
            unheard: 0,
            dice: Dice::new(seed),
        }
    }
}

// === impl Api ===

impl Api<'_> {
    pub(crate) async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        if wanted.instance_type.as_deref() == Some(REFUSED_TYPES[1]) {
            return Err(ProviderError::Refused(
                "machines of this kind fit no node".to_owned(),
            ));
        }
        self.provider.prepare(wanted).await
    }

    pub(crate) async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        self.hears(Call::Launch)?;
        let of_type = request.0["wanted"].get("instance_type").and_then(Value::as_str);
        if of_type == Some(REFUSED_TYPES[0]) {
            return Err(ProviderError::Refused(
                "there are no machines of this kind".to_owned(),
            ));
        }
        self.provider.launch(request, token, boot).await
    }

    pub(crate) async fn start(&self, id: &ProviderId, boot: &BootSecret) -> Result<Launched, ProviderError> {
        self.hears(Call::Start)?;
        self.provider.start(id, boot).await
    }

    pub(crate) async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.hears(Call::End)?;
        self.provider.stop(id).await
    }

    pub(crate) async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.hears(Call::End)?;
        self.provider.terminate(id).await
    }

    pub(crate) async fn list(&self, cluster: ClusterId) -> Result<Vec<ListedNode>, ProviderError> {
        self.hears(Call::Look)?;
        self.provider.list(Some(cluster)).await
    }

    pub(crate) async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        self.hears(Call::Look)?;
        self.provider.describe(id).await
    }

    pub(crate) async fn prepare_cluster(
        &self,
        wanted: &ClusterWanted,
    ) -> Result<Option<NetworkId>, ProviderError> {
        self.hears(Call::Prepare)?;
        self.provider.prepare_cluster(wanted).await
    }

    pub(crate) async fn forget_cluster(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        self.hears(Call::End)?;
        self.provider.forget_cluster(cluster).await
    }

    pub(crate) async fn left_volumes(&self) -> Result<Vec<LeftVolume>, ProviderError> {
        self.hears(Call::Look)?;
        self.provider.left_volumes(NodeAccount::Installation).await
    }

    pub(crate) async fn delete_volume(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.hears(Call::End)?;
        self.provider.delete_volume(id).await
    }

    /// Before it takes effect, and with an answer of its own.
    fn hears(&self, call: Call) -> Result<(), ProviderError> {
        let mut mood = self.mood.borrow_mut();
        if let Some(refused) = mood.refusal.and_then(|refusal| refusal.of(call)) {
            return Err(refused);
        }
        let unheard = mood.unheard;
        match unheard > 0 && mood.dice.percent(100) < unheard {
            true => Err(ProviderError::Unclear("no answer in time".to_owned())),
            false => Ok(()),
        }
    }
}
