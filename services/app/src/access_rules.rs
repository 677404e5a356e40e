//! Access rules: who has a role where because of what the tenant's provider and directory say of them. For owners.

use serde_json::json;
use updraft_api::access::{AccessRuleView, NewAccessRule};
use updraft_api::rest::Page;
use updraft_authz::{AccessRule, Actor, Tag, Target, TenantAction, Who};
use updraft_model::{ClusterId, RuleId, TenantId};
use updraft_store::access_rules::{self, RuleRecord};
use updraft_store::{PgConnection, StoreError, event_log, standings, tenants};
use uuid::Uuid;

use crate::audit::{self, Change, attempt};
use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, PageRequest, access, people, spec};

/// As many as one decision was measured with.
const MAX_RULES: i64 = 1_000;

impl App {
    /// The tenant's rules, oldest first.
    ///
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_access_rules(
        &self,
        actor: &Actor,
        request: PageRequest,
    ) -> Result<Page<AccessRuleView>, AppError> {
        access::tenant(actor, TenantAction::ManageAccess)?;
        let (limit, after) = (request.limit()?, request.position::<RuleId>()?);
        let mut connection = self.store().connection().await?;
        let records = access_rules::list(&mut connection, actor.tenant).await?;
        let rest = records
            .into_iter()
            .filter(|record| after.is_none_or(|after| record.rule.id > after))
            .collect();
        Ok(page(
            rest,
            limit,
            |record: &RuleRecord| record.rule.id.to_string(),
            view,
        ))
    }

    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `who`, `target`, or when there are too many.
    pub async fn create_access_rule(
        &self,
        actor: &Actor,
        new: NewAccessRule,
    ) -> Result<AccessRuleView, AppError> {
        let attempt = attempt("access_rule.create");
        access::tenant(actor, TenantAction::ManageAccess)?;
        let mut tx = self.store().begin().await?;
        tenants::lock_quota(&mut tx, actor.tenant).await?;
        if access_rules::count(&mut tx, actor.tenant).await? >= MAX_RULES {
            let why = format!("an organisation has at most {MAX_RULES} rules; remove some first");
            return Err(AppError::invalid("who", why));
        }
        let rule = AccessRule {
            id: RuleId(Uuid::now_v7()),
            who: checked_who(new.who)?,
            role: new.role,
            target: checked_target(&mut tx, actor, new.target).await?,
        };
        access_rules::insert(&mut tx, actor.tenant, &rule, actor.user).await?;
        let text = told(&rule);
        let message = format!("{} made an access rule: {text}", actor.email);
        event_log::append(&mut tx, actor.tenant, None, "access_rule_created", &message).await?;
        let made = json!({"who": rule.who, "role": rule.role, "target": rule.target});
        let attempt = attempt.on(audit::Target::new("access_rule", rule.id, Some(&text)));
        attempt.done(&mut tx, actor, Change::made(made)).await?;
        let record = find(&mut tx, actor.tenant, rule.id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(view(record))
    }

    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`].
    pub async fn delete_access_rule(&self, actor: &Actor, id: RuleId) -> Result<(), AppError> {
        let attempt = attempt("access_rule.delete").on(audit::Target::new("access_rule", id, None));
        access::tenant(actor, TenantAction::ManageAccess)?;
        let mut tx = self.store().begin().await?;
        let rule = find(&mut tx, actor.tenant, id).await?.rule;
        let removed = access_rules::delete(&mut tx, actor.tenant, id).await;
        removed.map_err(missing)?;
        let text = told(&rule);
        let message = format!("{} removed an access rule: {text}", actor.email);
        event_log::append(&mut tx, actor.tenant, None, "access_rule_deleted", &message).await?;
        let was = json!({"who": rule.who, "role": rule.role, "target": rule.target});
        let attempt = attempt.on(audit::Target::new("access_rule", id, Some(&text)));
        attempt.done(&mut tx, actor, Change::removed(was)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

async fn find(connection: &mut PgConnection, tenant: TenantId, id: RuleId) -> Result<RuleRecord, AppError> {
    let records = access_rules::list(connection, tenant).await?;
    let found = records.into_iter().find(|record| record.rule.id == id);
    found.ok_or(AppError::NotFound(Resource::AccessRule))
}

fn missing(error: StoreError) -> AppError {
    match error {
        StoreError::Missing { .. } => AppError::NotFound(Resource::AccessRule),
        other => AppError::Store(other),
    }
}

pub(crate) fn view(record: RuleRecord) -> AccessRuleView {
    AccessRuleView {
        id: record.rule.id,
        who: record.rule.who,
        role: record.rule.role,
        target: record.rule.target,
        created_by: record.created_by,
        created_at: record.created_at,
    }
}

fn told(rule: &AccessRule) -> String {
    let role = match rule.role {
        updraft_model::ClusterRole::Admin => "admin",
        updraft_model::ClusterRole::User => "user",
    };
    format!("{} → {role} on {}", rule.who, rule.target)
}

fn checked_who(who: Who) -> Result<Who, AppError> {
    match who {
        Who::Group(name) => {
            let fine = (1..=256).contains(&name.chars().count())
                && !name.chars().any(char::is_control)
                && name.trim() == name;
            let why = "use the group's name as your identity provider sends it: 1 to 256 characters";
            if fine {
                Ok(Who::Group(name))
            } else {
                Err(AppError::invalid("who.group", why))
            }
        }
        Who::Domain(domain) => checked_domain(&domain).map(Who::Domain),
        Who::Email(email) => people::checked_email(&email)
            .map(Who::Email)
            .map_err(|_| AppError::invalid("who.email", "use an address like ada@example.com")),
        Who::Everyone => Ok(Who::Everyone),
    }
}

/// In lower case. No wildcard and no `@`: a domain is itself and nothing below it.
fn checked_domain(text: &str) -> Result<String, AppError> {
    let domain = text.trim().to_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label) {
        return Ok(domain);
    }
    Err(AppError::invalid(
        "who.domain",
        "use a domain like example.com; `xn--` names in that form",
    ))
}

async fn checked_target(
    connection: &mut PgConnection,
    actor: &Actor,
    target: Target,
) -> Result<Target, AppError> {
    match target {
        Target::EveryCluster => Ok(Target::EveryCluster),
        Target::Cluster(id) => existing(connection, actor, id).await.map(Target::Cluster),
        Target::Tag(Tag { key, value }) => match spec::tag_fault(&key, &value) {
            None => Ok(Target::Tag(Tag { key, value })),
            Some(why) => Err(AppError::invalid("target.tag", why)),
        },
    }
}

async fn existing(
    connection: &mut PgConnection,
    actor: &Actor,
    id: ClusterId,
) -> Result<ClusterId, AppError> {
    match standings::find(connection, actor.tenant, actor.user, id).await? {
        Some(_) => Ok(id),
        None => Err(AppError::invalid(
            "target.cluster",
            "there is no such cluster: see the list of clusters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use updraft_authz::Who;

    use super::{checked_domain, checked_who};

    #[test]
    fn a_domain_is_a_plain_name_in_lower_case() {
        assert_eq!(checked_domain(" Example.COM ").unwrap(), "example.com");
        assert_eq!(
            checked_domain("xn--bcher-kva.example").unwrap(),
            "xn--bcher-kva.example"
        );
        for bad in [
            "",
            "com",
            "*.example.com",
            "@example.com",
            "example.com.",
            "a..b",
            "-a.b",
            "exämple.com",
            "a b.c",
        ] {
            assert!(checked_domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_groups_name_is_taken_as_it_is_or_not_at_all() {
        let group = |name: &str| checked_who(Who::Group(name.to_owned()));
        assert_eq!(
            group("/Data Platform").unwrap(),
            Who::Group("/Data Platform".into())
        );
        for bad in ["", " x", "x ", "a\nb", &"x".repeat(257)] {
            assert!(group(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            checked_who(Who::Email("Ada@Example.com".into())).unwrap(),
            Who::Email("ada@example.com".into())
        );
    }
}
