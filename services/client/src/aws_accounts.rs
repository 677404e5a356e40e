//! The organisation's own AWS accounts.

use reqwest::Method;
use updraft_api::aws_accounts::{AwsAccountCheck, AwsAccountView, NewAwsAccount};
use updraft_model::{AwsAccountConfig, AwsAccountName};

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /aws-accounts`, all pages.
    pub async fn aws_accounts(&self) -> Result<Vec<AwsAccountView>, ClientError> {
        self.all(|cursor| Call::get("aws-accounts").query("cursor", cursor))
            .await
    }

    /// `POST /aws-accounts`
    pub async fn create_aws_account(&self, new: &NewAwsAccount) -> Result<AwsAccountView, ClientError> {
        self.fetch(Call::post("aws-accounts").json(new)).await
    }

    /// `GET /aws-accounts/{name}`
    pub async fn aws_account(&self, name: &AwsAccountName) -> Result<AwsAccountView, ClientError> {
        self.fetch(Call::get(format!("aws-accounts/{name}"))).await
    }

    /// `PUT /aws-accounts/{name}`
    pub async fn update_aws_account(
        &self,
        name: &AwsAccountName,
        config: &AwsAccountConfig,
    ) -> Result<AwsAccountView, ClientError> {
        self.fetch(Call::new(Method::PUT, format!("aws-accounts/{name}")).json(config))
            .await
    }

    /// `DELETE /aws-accounts/{name}`: refused while there are clusters in it.
    pub async fn delete_aws_account(&self, name: &AwsAccountName) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("aws-accounts/{name}")))
            .await
    }

    /// `POST /aws-accounts/{name}/next-external-id`: the one that waits already, if one does.
    pub async fn make_next_external_id(&self, name: &AwsAccountName) -> Result<AwsAccountView, ClientError> {
        self.fetch(Call::post(format!("aws-accounts/{name}/next-external-id")))
            .await
    }

    /// `POST /aws-accounts/{name}/next-external-id/use`: refused while AWS does not let Updraft in by it.
    pub async fn use_next_external_id(&self, name: &AwsAccountName) -> Result<AwsAccountView, ClientError> {
        self.fetch(Call::post(format!("aws-accounts/{name}/next-external-id/use")))
            .await
    }

    /// `DELETE /aws-accounts/{name}/next-external-id`
    pub async fn drop_next_external_id(&self, name: &AwsAccountName) -> Result<(), ClientError> {
        let path = format!("aws-accounts/{name}/next-external-id");
        self.perform(Call::new(Method::DELETE, path)).await
    }

    /// `POST /aws-accounts/{name}/check`
    pub async fn check_aws_account(&self, name: &AwsAccountName) -> Result<AwsAccountCheck, ClientError> {
        self.fetch(Call::post(format!("aws-accounts/{name}/check"))).await
    }
}
