//! What somebody may do on the clusters of their tenant: read once, then decided in memory for as many as there are.

use std::collections::HashMap;

use updraft_authz::{Actor, ClusterFacts, CompiledRules, Credential, PersonFacts, PersonRules};
use updraft_model::{ClusterId, ClusterRole, TenantRole};
use updraft_store::{PgConnection, access_rules, person_facts, standings};

use crate::AppError;

/// One actor's roles, by ownership, by name and by rule, as far as their credential reaches.
#[derive(Debug)]
pub(crate) struct Rights {
    own: PersonRules,
    credential: Credential,
}

/// The clusters somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The whole tenant, and what happens in it apart from its clusters.
    All,
    /// These clusters, deleted ones too.
    Only(HashMap<ClusterId, ClusterRole>),
}

// === impl Rights ===

impl Rights {
    /// An owner's need no look at the rules: they can give nothing more.
    pub(crate) async fn of(connection: &mut PgConnection, actor: &Actor) -> Result<Self, AppError> {
        let own = match actor.tenant_role {
            TenantRole::Owner => CompiledRules::default().of(&PersonFacts::unvouched(
                actor.user,
                TenantRole::Owner,
                &actor.email,
            )),
            TenantRole::Member => {
                let rules = access_rules::of_tenant(connection, actor.tenant).await?;
                let person = person_facts::find(connection, actor.tenant, actor.user)
                    .await?
                    .ok_or(AppError::NotSignedIn)?;
                CompiledRules::new(&rules).of(&person.facts)
            }
        };
        Ok(Self {
            own,
            credential: actor.credential,
        })
    }

    pub(crate) fn role_on(
        &self,
        cluster: &ClusterFacts,
        granted: Option<ClusterRole>,
    ) -> Option<ClusterRole> {
        let (role, _) = self.own.role_on(cluster, granted)?;
        self.credential.cap(role)
    }
}

// === impl Sight ===

impl Sight {
    pub(crate) async fn of(connection: &mut PgConnection, actor: &Actor) -> Result<Self, AppError> {
        if actor.tenant_role == TenantRole::Owner && actor.credential.acts_for_tenant() {
            return Ok(Self::All);
        }
        let rights = Rights::of(connection, actor).await?;
        let standings = standings::of_tenant(connection, actor.tenant, actor.user).await?;
        let seen = standings.into_iter().filter_map(|standing| {
            let role = rights.role_on(&standing.cluster, standing.granted)?;
            Some((standing.cluster.id, role))
        });
        Ok(Self::Only(seen.collect()))
    }

    /// Which clusters a list is to be of; all when there is no saying.
    pub(crate) fn clusters(&self) -> Option<Vec<ClusterId>> {
        match self {
            Self::All => None,
            Self::Only(roles) => Some(roles.keys().copied().collect()),
        }
    }

    pub(crate) fn role_on(&self, cluster: ClusterId) -> Option<ClusterRole> {
        match self {
            Self::All => Some(ClusterRole::Admin),
            Self::Only(roles) => roles.get(&cluster).copied(),
        }
    }
}
