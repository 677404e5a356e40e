//! Whether each role's launch would be allowed, which EC2 says without launching.

use serde_json::json;
use updraft_aws::EC2;
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, TenantId};
use updraft_provider::{BootSecret, NodeWanted};
use uuid::Uuid;

use super::finding::{Fault, Finding};
use crate::answers::Done;
use crate::provider::Ec2Provider;
use crate::request::Kept;

// === impl Ec2Provider ===

impl Ec2Provider {
    /// AWS checks permission and parameters as for the launch itself.
    pub(super) async fn dry_run(&self, role: NodeRole) -> Finding {
        let node = NodeId(Uuid::nil());
        let wanted = NodeWanted {
            tenant: Some(TenantId(Uuid::nil())),
            generation: Some(Generation::FIRST),
            ..NodeWanted::plain(ClusterId(0), node, role, 1)
        };
        let boot = json!({"control_url": "https://updraft.invalid", "node": node, "token": "preflight"});
        let boot = BootSecret(boot.to_string().into());
        let kept = Kept::new(&self.config, &wanted);
        let params = self.launch_params(&kept, &boot).await;
        let params = params.map_err(|error| Fault {
            found: error.to_string(),
            remedy: None,
            blocks: true,
        })?;
        let asked = params.with("DryRun", true);
        match self.aws.query::<Done>(EC2, "RunInstances", &asked).await {
            Err(error) if error.code() == Some("DryRunOperation") => {
                Ok(format!("{} would start", self.config.machine(role).instance_type))
            }
            Err(error) if error.code() == Some("UnauthorizedOperation") => {
                Err(self.not_allowed(error.into()))
            }
            Err(error) => Err(error.into()),
            Ok(Done {}) => Err(Fault {
                found: "EC2 did not heed that nothing is to be started".to_owned(),
                remedy: None,
                blocks: true,
            }),
        }
    }

    /// Without a group in the request it is about the VPC's default one, which may well not be allowed.
    fn not_allowed(&self, fault: Fault) -> Fault {
        Fault {
            blocks: !self.config.security_groups.is_empty(),
            ..fault
        }
    }
}
