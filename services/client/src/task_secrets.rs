//! What a cluster's tasks know and nobody is shown.

use reqwest::Method;
use updraft_api::rest::Accepted;
use updraft_api::task_secrets::{ChangeTaskSecrets, TaskSecretList};
use updraft_model::ClusterId;

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /clusters/{id}/secrets`: without values.
    pub async fn task_secrets(&self, id: ClusterId) -> Result<TaskSecretList, ClientError> {
        self.fetch(Call::get(format!("clusters/{id}/secrets"))).await
    }

    /// `PATCH /clusters/{id}/secrets`
    pub async fn change_task_secrets(
        &self,
        id: ClusterId,
        change: &ChangeTaskSecrets,
    ) -> Result<Accepted, ClientError> {
        self.fetch(Call::new(Method::PATCH, format!("clusters/{id}/secrets")).json(change))
            .await
    }
}
