//! The tenant's people: owners manage them.

use secrecy::SecretString;
use serde_json::json;
use updraft_api::access::ChangePerson;
use updraft_api::passwords::AddedPerson;
use updraft_api::rest::{NewPerson, Page, Person};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{TenantRole, UserId};
use updraft_store::people::{self, Member};
use updraft_store::{StoreError, Tx, event_log};
use uuid::Uuid;

use crate::audit::{Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::page::{ByAddress, page};
use crate::{App, PageRequest, access};

impl App {
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_people(&self, actor: &Actor, request: PageRequest) -> Result<Page<Person>, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let (limit, after) = (request.limit()?, request.position::<ByAddress>()?);
        let after = after.as_ref().map(|at| (at.email.as_str(), at.user));
        let mut connection = self.store().connection().await?;
        let members = people::list_members(&mut connection, actor.tenant, after, limit + 1).await?;
        let at = |member: &Member| ByAddress::new(&member.email, member.user).to_string();
        Ok(page(members, limit, at, person))
    }

    /// Without a password the answer has a link by which the person chooses one.
    ///
    /// Somebody who has an account, because another tenant added them, becomes a member with the name and password they
    /// have. The answer is the same as for a new account: nobody learns here who has one.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Invalid`]; [`AppError::EmailTaken`] by a member.
    pub async fn add_person(&self, actor: &Actor, new: NewPerson) -> Result<AddedPerson, AppError> {
        let attempt = attempt("person.add");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let (email, name) = (checked_email(&new.email)?, checked_name(&new.name)?);
        let hash = match new.password.map(SecretString::from) {
            Some(password) => Some(self.passwords().hash(&password, &[&email, &name]).await?),
            None => None,
        };
        let mut tx = self.store().begin().await?;
        let (user, is_new) = local_account(&mut tx, &email, &name, hash.as_deref()).await?;
        people::insert_membership(&mut tx, actor.tenant, user, new.tenant_role)
            .await
            .map_err(|error| match error {
                StoreError::Conflict { .. } => AppError::EmailTaken { email: email.clone() },
                other => AppError::Store(other),
            })?;
        let invite = match (hash, is_new) {
            (Some(_), _) => None,
            (None, true) => Some(self.invite(&mut tx, actor.tenant, user).await?),
            (None, false) => Some(self.no_invite()),
        };
        let message = format!("{} added {email}", actor.email);
        event_log::append(&mut tx, actor.tenant, None, "person_added", &message).await?;
        let made = json!({"email": email, "name": name, "tenant_role": new.tenant_role});
        let attempt = attempt.on(Target::person(user, &email));
        attempt.done(&mut tx, actor, Change::made(made)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let person = Person {
            user,
            email,
            name,
            tenant_role: new.tenant_role,
        };
        Ok(AddedPerson { person, invite })
    }

    /// Makes a member an owner, or an owner a member. Their sessions go on with the new rights at once.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`], [`AppError::LastOwner`].
    pub async fn change_person(
        &self,
        actor: &Actor,
        user: UserId,
        change: ChangePerson,
    ) -> Result<Person, AppError> {
        let attempt = attempt("person.change").on(Target::new("person", user, None));
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let owners = people::lock_owners(&mut tx, actor.tenant).await?;
        let member = people::find_member(&mut tx, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::Person))?;
        let (was, is) = (member.tenant_role, change.tenant_role);
        if was == TenantRole::Owner && is != was && owners <= 1 {
            return Err(AppError::LastOwner);
        }
        people::set_tenant_role(&mut tx, actor.tenant, user, is).await?;
        let message = format!("{} made {} {}", actor.email, member.email, with_article(is));
        event_log::append(&mut tx, actor.tenant, None, "person_changed", &message).await?;
        let attempt = attempt.on(Target::person(user, &member.email));
        let role = |role: TenantRole| json!({ "tenant_role": role });
        attempt
            .done(&mut tx, actor, Change::between(role(was), role(is)))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(person(Member {
            tenant_role: is,
            ..member
        }))
    }

    /// Removes a person with their sessions and roles.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`], [`AppError::LastOwner`].
    pub async fn remove_person(&self, actor: &Actor, user: UserId) -> Result<(), AppError> {
        let attempt = attempt("person.remove").on(Target::new("person", user, None));
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let owners = people::lock_owners(&mut tx, actor.tenant).await?;
        let member = people::find_member(&mut tx, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::Person))?;
        if member.tenant_role == TenantRole::Owner && owners <= 1 {
            return Err(AppError::LastOwner);
        }
        people::remove_member(&mut tx, actor.tenant, user).await?;
        let message = format!("{} removed {}", actor.email, member.email);
        event_log::append(&mut tx, actor.tenant, None, "person_removed", &message).await?;
        let was = json!({"email": member.email, "name": member.name, "tenant_role": member.tenant_role});
        let attempt = attempt.on(Target::person(user, &member.email));
        attempt.done(&mut tx, actor, Change::removed(was)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// The local account of an address, made unless there is one, and whether it was. An account that is there stays as it is.
pub(crate) async fn local_account(
    tx: &mut Tx,
    email: &str,
    name: &str,
    password_hash: Option<&str>,
) -> Result<(UserId, bool), StoreError> {
    if let Some(known) = people::password_record(tx, email).await? {
        return Ok((known.user, false));
    }
    let user = UserId(Uuid::now_v7());
    people::insert_user(tx, user, email, name, password_hash).await?;
    Ok((user, true))
}

fn with_article(role: TenantRole) -> &'static str {
    match role {
        TenantRole::Owner => "an owner",
        TenantRole::Member => "a member",
    }
}

pub(crate) fn person(member: Member) -> Person {
    Person {
        user: member.user,
        email: member.email,
        name: member.name,
        tenant_role: member.tenant_role,
    }
}

/// The address in lower case. Whether it reaches anyone, only a mail would tell.
pub(crate) fn checked_email(text: &str) -> Result<String, AppError> {
    let email = text.trim().to_lowercase();
    let plain = |c: char| c.is_ascii_graphic();
    let well_formed = email.len() <= 254
        && email.chars().all(plain)
        && email
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if well_formed {
        Ok(email)
    } else {
        Err(AppError::invalid("email", "use an address like ada@example.com"))
    }
}

pub(crate) fn checked_name(text: &str) -> Result<String, AppError> {
    let name = text.trim();
    if (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(AppError::invalid("name", "a name has 1 to 100 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::{checked_email, checked_name};

    #[test]
    fn addresses_are_kept_in_lower_case() {
        assert_eq!(checked_email(" Ada@Example.com ").unwrap(), "ada@example.com");
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a da@example.com",
            "ada@exämple.com",
        ] {
            assert!(checked_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_one_line() {
        assert_eq!(checked_name(" Ada Lovelace ").unwrap(), "Ada Lovelace");
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(checked_name(bad).is_err());
        }
    }
}
