//! The tenant's people: owners manage them.

use secrecy::SecretString;
use updraft_api::rest::{NewPerson, Page, Person};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{TenantRole, UserId};
use updraft_store::people::{self, Member};
use updraft_store::{StoreError, event_log};
use uuid::Uuid;

use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, PageRequest, access};

impl App {
    /// # Errors
    /// [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_people(&self, actor: &Actor, request: PageRequest) -> Result<Page<Person>, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let (limit, after) = (request.limit()?, request.position::<String>()?);
        let mut connection = self.store().connection().await?;
        let members =
            people::list_members(&mut connection, actor.tenant, after.as_deref(), limit + 1).await?;
        Ok(page(members, limit, |member| member.email.clone(), person))
    }

    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Invalid`], [`AppError::EmailTaken`].
    pub async fn add_person(&self, actor: &Actor, new: NewPerson) -> Result<Person, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let (email, name) = (checked_email(&new.email)?, checked_name(&new.name)?);
        let hash = self.passwords().hash(&SecretString::from(new.password)).await?;
        let user = UserId(Uuid::now_v7());
        let mut tx = self.store().begin().await?;
        people::insert_user(&mut tx, user, &email, &name, Some(&hash))
            .await
            .map_err(|error| match error.is_conflict_on("users_email_key") {
                true => AppError::EmailTaken { email: email.clone() },
                false => AppError::Store(error),
            })?;
        people::insert_membership(&mut tx, actor.tenant, user, new.tenant_role).await?;
        let message = format!("{} added {email}", actor.email);
        event_log::append(&mut tx, actor.tenant, None, "person_added", &message).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Person {
            user,
            email,
            name,
            tenant_role: new.tenant_role,
        })
    }

    /// Removes a person with their sessions and roles.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`], [`AppError::LastOwner`].
    pub async fn remove_person(&self, actor: &Actor, user: UserId) -> Result<(), AppError> {
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
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
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
