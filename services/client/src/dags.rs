//! Where DAGs come from, and what became of them.

use reqwest::Method;
use updraft_api::dags::{
    CredentialView, DagHookMade, DagHookView, DagState, DagVersionView, NewCredential, Pushed, PutDagHook,
    ReplaceCredential, RollBack, SyncAsked,
};
use updraft_model::{ClusterId, CredentialName, DagFolder, DagHookId};

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /credentials`, all pages.
    pub async fn credentials(&self) -> Result<Vec<CredentialView>, ClientError> {
        self.all(|cursor| Call::get("credentials").query("cursor", cursor))
            .await
    }

    /// `POST /credentials`. No key: nothing that a secret could be guessed from is kept of it.
    pub async fn create_credential(&self, new: &NewCredential) -> Result<CredentialView, ClientError> {
        self.fetch(Call::post("credentials").keyed(None).json(new)).await
    }

    /// `PUT /credentials/{name}`
    pub async fn replace_credential(
        &self,
        name: &CredentialName,
        new: &ReplaceCredential,
    ) -> Result<CredentialView, ClientError> {
        self.fetch(Call::new(Method::PUT, format!("credentials/{name}")).json(new))
            .await
    }

    /// `DELETE /credentials/{name}`: refused while a cluster names it.
    pub async fn delete_credential(&self, name: &CredentialName) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("credentials/{name}")))
            .await
    }

    /// `GET /clusters/{id}/dags`
    pub async fn dags(&self, id: ClusterId) -> Result<DagState, ClientError> {
        self.fetch(Call::get(format!("clusters/{id}/dags"))).await
    }

    /// `GET /clusters/{id}/dags/versions`: newest first.
    pub async fn dag_versions(&self, id: ClusterId) -> Result<Vec<DagVersionView>, ClientError> {
        self.all(|cursor| Call::get(format!("clusters/{id}/dags/versions")).query("cursor", cursor))
            .await
    }

    /// `POST /clusters/{id}/dags/sync`
    pub async fn sync_dags(&self, id: ClusterId) -> Result<SyncAsked, ClientError> {
        self.fetch(Call::post(format!("clusters/{id}/dags/sync"))).await
    }

    /// `POST /clusters/{id}/dags/rollback`
    pub async fn roll_back_dags(&self, id: ClusterId, to: &RollBack) -> Result<SyncAsked, ClientError> {
        self.fetch(Call::post(format!("clusters/{id}/dags/rollback")).json(to))
            .await
    }

    /// `DELETE /clusters/{id}/dags/pin`
    pub async fn follow_dags(&self, id: ClusterId) -> Result<SyncAsked, ClientError> {
        self.fetch(Call::new(Method::DELETE, format!("clusters/{id}/dags/pin")))
            .await
    }

    /// `POST /clusters/{id}/dags/push`: a gzipped tar archive of all of the folder's files.
    pub async fn push_dags(
        &self,
        id: ClusterId,
        folder: &DagFolder,
        message: Option<&str>,
        archive: Vec<u8>,
    ) -> Result<Pushed, ClientError> {
        let call = Call::post(format!("clusters/{id}/dags/push"))
            .keyed(None)
            .query("folder", Some(folder).filter(|folder| !folder.is_top()))
            .query("message", message);
        self.fetch(call.upload("application/gzip", archive)).await
    }

    /// `GET /clusters/{id}/dags/hooks`
    pub async fn dag_hooks(&self, id: ClusterId) -> Result<Vec<DagHookView>, ClientError> {
        self.all(|cursor| Call::get(format!("clusters/{id}/dags/hooks")).query("cursor", cursor))
            .await
    }

    /// `PUT /clusters/{id}/dags/hooks`: the secret is in this answer alone.
    pub async fn put_dag_hook(&self, id: ClusterId, hook: &PutDagHook) -> Result<DagHookMade, ClientError> {
        self.fetch(Call::new(Method::PUT, format!("clusters/{id}/dags/hooks")).json(hook))
            .await
    }

    /// `DELETE /clusters/{id}/dags/hooks/{hook}`
    pub async fn delete_dag_hook(&self, id: ClusterId, hook: DagHookId) -> Result<(), ClientError> {
        self.perform(Call::new(
            Method::DELETE,
            format!("clusters/{id}/dags/hooks/{hook}"),
        ))
        .await
    }
}
