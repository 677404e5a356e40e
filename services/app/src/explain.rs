//! Who has access to a cluster, and "why may she?".

use std::collections::HashMap;

use updraft_api::access::{AccessExplanation, AccessReason, ClusterPerson, Through};
use updraft_api::rest::Page;
use updraft_authz::{AccessRule, Actor, ClusterAction, CompiledRules, Outcome, Reason, Why, explain};
use updraft_model::{ClusterId, ClusterRole, RuleId, TenantRole, UserId};
use updraft_store::person_facts::{self, KnownPerson};
use updraft_store::{access_rules, grants, standings};

use crate::error::{AppError, Resource};
use crate::page::{ByAddress, page};
use crate::{App, PageRequest, access};

/// Which people of the organisation are asked for.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    /// In name or address, in any case.
    pub query: Option<String>,
    /// Only those who have a role on the cluster.
    pub with_role: bool,
}

impl App {
    /// The organisation's people with what each may do on this cluster, by address. For admins of the cluster: they
    /// choose whom to give a role, so they see everybody's name and address, and nothing else of those without a role.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_cluster_people(
        &self,
        actor: &Actor,
        id: ClusterId,
        filter: PeopleFilter,
        request: PageRequest,
    ) -> Result<Page<ClusterPerson>, AppError> {
        let mut connection = self.store().connection().await?;
        let (record, _) = access::cluster(&mut connection, actor, id, ClusterAction::Change).await?;
        let (limit, after) = (request.limit()?, request.position::<ByAddress>()?);
        let rules = access_rules::of_tenant(&mut connection, actor.tenant).await?;
        let granted = grants::of_cluster(&mut connection, actor.tenant, id).await?;
        let everybody = person_facts::of_tenant(&mut connection, actor.tenant).await?;

        let (compiled, cluster) = (CompiledRules::new(&rules), record.facts());
        let by_id: HashMap<_, _> = rules.iter().map(|rule| (rule.id, rule)).collect();
        let seen = |person: KnownPerson| {
            let granted = granted.get(&person.facts.user).copied();
            let decided = compiled.of(&person.facts).role_on(&cluster, granted);
            ClusterPerson {
                user: person.facts.user,
                name: person.name,
                email: person.facts.email,
                role: decided.map(|(role, _)| role),
                through: decided.and_then(|(_, why)| through(why, |id| by_id.get(&id).copied())),
                granted,
            }
        };
        let mut found: Vec<_> = everybody
            .into_iter()
            .filter(|person| filter.asks_for(person))
            .map(seen)
            .filter(|person| person.role.is_some() || !filter.with_role)
            .map(|person| (ByAddress::new(&person.email, person.user), person))
            .filter(|(at, _)| after.as_ref().is_none_or(|after| at > after))
            .collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(page(found, limit, |(at, _)| at.to_string(), |(_, person)| person))
    }

    /// Why somebody may use the cluster, or may not: `user`, or the actor themselves. Admins of the cluster ask about
    /// others. Owners see every rule; others what reaches this cluster, and users of it what is about themselves.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for the cluster or the person, [`AppError::Forbidden`].
    pub async fn explain_access(
        &self,
        actor: &Actor,
        id: ClusterId,
        user: Option<UserId>,
    ) -> Result<AccessExplanation, AppError> {
        let user = user.unwrap_or(actor.user);
        let mut connection = self.store().connection().await?;
        let (record, viewers_role) = access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        if user != actor.user && viewers_role != ClusterRole::Admin {
            return Err(AppError::Forbidden {
                action: "see what others may do on this cluster",
            });
        }
        let person = person_facts::find(&mut connection, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::Person))?;
        let standing = standings::find(&mut connection, actor.tenant, user, id).await?;
        let granted = standing.and_then(|standing| standing.granted);
        let rules = access_rules::of_tenant(&mut connection, actor.tenant).await?;

        let cluster = record.facts();
        let reasons = explain(&person.facts, &cluster, granted, &rules);
        let decisive = reasons.iter().find(|reason| reason.outcome == Outcome::Decides);
        Ok(AccessExplanation {
            cluster: id,
            user,
            name: person.name,
            email: person.facts.email,
            role: decisive.map(|reason| reason.role),
            reasons: reasons
                .iter()
                .filter_map(|reason| Some((reason, view(reason, &rules)?)))
                .filter(|(reason, view)| {
                    let reaches = match &view.through {
                        Through::Rule { target, .. } => target.is(&cluster),
                        Through::Owner | Through::Grant => true,
                    };
                    actor.tenant_role == TenantRole::Owner || (reaches && shows(viewers_role, reason.outcome))
                })
                .map(|(_, view)| view)
                .collect(),
        })
    }
}

// === impl PeopleFilter ===

impl PeopleFilter {
    fn asks_for(&self, person: &KnownPerson) -> bool {
        let Some(query) = self
            .query
            .as_deref()
            .map(str::trim)
            .filter(|query| !query.is_empty())
        else {
            return true;
        };
        let query = query.to_lowercase();
        person.name.to_lowercase().contains(&query) || person.facts.email.to_lowercase().contains(&query)
    }
}

/// What groups there are is the business of those who give access.
fn shows(on_cluster: ClusterRole, outcome: Outcome) -> bool {
    on_cluster == ClusterRole::Admin
        || matches!(
            outcome,
            Outcome::Decides | Outcome::Holds | Outcome::AddressNotVouched
        )
}

fn view(reason: &Reason, rules: &[AccessRule]) -> Option<AccessReason> {
    Some(AccessReason {
        through: through(reason.why, |id| rules.iter().find(|rule| rule.id == id))?,
        role: reason.role,
        outcome: reason.outcome,
    })
}

fn through<'a>(why: Why, rule: impl FnOnce(RuleId) -> Option<&'a AccessRule>) -> Option<Through> {
    Some(match why {
        Why::TenantOwner => Through::Owner,
        Why::Granted => Through::Grant,
        Why::Rule(id) => {
            let rule = rule(id)?;
            Through::Rule {
                id,
                who: rule.who.clone(),
                target: rule.target.clone(),
            }
        }
    })
}
