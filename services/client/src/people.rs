//! The tenant's people and their roles on clusters.

use reqwest::Method;
use updraft_api::passwords::{AddedPerson, PasswordLink};
use updraft_api::rest::{GrantView, NewPerson, Person, PutGrant};
use updraft_model::{ClusterId, ClusterRole, UserId};

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /people`, all pages.
    pub async fn people(&self) -> Result<Vec<Person>, ClientError> {
        self.all(|cursor| Call::get("people").query("cursor", cursor))
            .await
    }

    /// `POST /people`
    pub async fn add_person(&self, person: &NewPerson) -> Result<AddedPerson, ClientError> {
        self.fetch(Call::post("people").json(person)).await
    }

    /// `DELETE /people/{user}`: their sessions end with it.
    pub async fn remove_person(&self, user: UserId) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("people/{user}")))
            .await
    }

    /// `POST /people/{user}/password-link`. Not repeated: a second answer would lack the link.
    pub async fn create_password_link(&self, user: UserId) -> Result<PasswordLink, ClientError> {
        let path = format!("people/{user}/password-link");
        self.fetch(Call::post(path).keyed(None)).await
    }

    /// `DELETE /people/{user}/second-factor`
    pub async fn remove_second_factor_of(&self, user: UserId) -> Result<(), ClientError> {
        let path = format!("people/{user}/second-factor");
        self.perform(Call::new(Method::DELETE, path)).await
    }

    /// `GET /clusters/{id}/grants`, all pages.
    pub async fn grants(&self, cluster: ClusterId) -> Result<Vec<GrantView>, ClientError> {
        self.all(|cursor| Call::get(format!("clusters/{cluster}/grants")).query("cursor", cursor))
            .await
    }

    /// `PUT /clusters/{id}/grants/{user}`
    pub async fn grant(
        &self,
        cluster: ClusterId,
        user: UserId,
        role: ClusterRole,
    ) -> Result<(), ClientError> {
        let path = format!("clusters/{cluster}/grants/{user}");
        self.perform(Call::new(Method::PUT, path).json(&PutGrant { role }))
            .await
    }

    /// `DELETE /clusters/{id}/grants/{user}`
    pub async fn revoke(&self, cluster: ClusterId, user: UserId) -> Result<(), ClientError> {
        self.perform(Call::new(
            Method::DELETE,
            format!("clusters/{cluster}/grants/{user}"),
        ))
        .await
    }
}
