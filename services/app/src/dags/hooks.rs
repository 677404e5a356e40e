//! Webhooks: a git server says that there is something to look at, and nothing of what it says is believed.
//!
//! A call that is signed right has the sources looked at, as anybody's `dags sync` would; sent again it does so again,
//! which changes nothing. What is not signed right learns nothing, not even whether there is such a hook.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use updraft_api::dags::{DagHookMade, DagHookView, PutDagHook};
use updraft_api::rest::Page;
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, DagFolder, DagHookId};
use updraft_sso::SignInQuota;
use updraft_store::dag_hooks::{self, HookRecord};
use updraft_store::secrets::random_token;
use updraft_store::{StoreError, dag_wishes};
use uuid::Uuid;

use super::DagRefusal;
use crate::audit::{Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::{App, AppConfig, access};

/// What a call shows for itself.
#[derive(Clone, Copy, Debug)]
pub enum HookProof<'a> {
    /// GitHub's `X-Hub-Signature-256`: `sha256=<HMAC of the body>`.
    Signature(&'a str),
    /// GitLab's `X-Gitlab-Token`: the secret itself.
    Token(&'a str),
}

/// 60 calls of one hook at once and then one each second; 600 from one address, where a git server calls for everybody,
/// and then 20 each second.
pub(crate) fn quota() -> SignInQuota {
    SignInQuota {
        account_burst: NonZeroU32::MIN.saturating_add(59),
        account_refill: Duration::from_secs(1),
        address_burst: NonZeroU32::MIN.saturating_add(599),
        address_refill: Duration::from_millis(50),
    }
}

impl App {
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`].
    pub async fn list_dag_hooks(&self, actor: &Actor, id: ClusterId) -> Result<Page<DagHookView>, AppError> {
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::Change).await?;
        let hooks = dag_hooks::list(&mut connection, actor.tenant, id).await?;
        Ok(Page {
            items: hooks.into_iter().map(|hook| view(hook, self.config())).collect(),
            next: None,
        })
    }

    /// A hook for a source, with a secret that is shown this once; the one there is gets another secret.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`]; [`AppError::Invalid`] on `folder`.
    pub async fn put_dag_hook(
        &self,
        actor: &Actor,
        id: ClusterId,
        asked: PutDagHook,
    ) -> Result<DagHookMade, AppError> {
        let attempt = attempt("dag_hook.put");
        let mut change = self
            .begin_change(actor, id, ClusterAction::Change, attempt)
            .await?;
        change.check_not_deleting()?;
        check_folder(&change.cluster.spec.dag_sources, &asked.folder)?;
        let fresh = DagHookId(Uuid::new_v4());
        let hook = dag_hooks::put(&mut change.tx, actor.tenant, id, fresh, &asked.folder).await?;
        let secret = random_token();
        dag_hooks::put_secret(&mut change.tx, &self.config().master_key, &hook, &secret).await?;
        let secret = secret.expose_secret().to_owned();
        let hook = view(hook, self.config());
        let made = Change::made(json!({"hook": hook.id, "folder": hook.folder}));
        change.attempt.done(&mut change.tx, actor, made).await?;
        change.tx.commit().await.map_err(StoreError::from)?;
        Ok(DagHookMade { hook, secret })
    }

    /// # Errors
    /// [`AppError::NotFound`] also for the hook, [`AppError::Forbidden`].
    pub async fn delete_dag_hook(
        &self,
        actor: &Actor,
        id: ClusterId,
        hook: DagHookId,
    ) -> Result<(), AppError> {
        let attempt = attempt("dag_hook.delete").on(Target::new("cluster", id, None));
        let mut tx = self.store().begin().await?;
        let (cluster, _) = access::cluster(&mut tx, actor, id, ClusterAction::Change).await?;
        let attempt = attempt.on(Target::cluster(id, &cluster.name));
        dag_hooks::remove(&mut tx, actor.tenant, id, hook)
            .await
            .map_err(|error| match error {
                StoreError::Missing { .. } => AppError::NotFound(Resource::DagHook),
                other => other.into(),
            })?;
        attempt
            .done(&mut tx, actor, Change::removed(json!({"hook": hook})))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// A git server calls.
    ///
    /// # Errors
    /// [`DagRefusal::Hook`], [`AppError::TooManyTries`].
    pub async fn call_dag_hook(
        &self,
        hook: DagHookId,
        address: IpAddr,
        proof: Option<HookProof<'_>>,
        body: &[u8],
    ) -> Result<(), AppError> {
        let limited = self.hook_limits().check(&hook.to_string(), address);
        limited.map_err(|retry_after| AppError::TooManyTries { retry_after })?;
        let mut tx = self.store().begin().await?;
        let found = dag_hooks::find_anywhere(&mut tx, hook).await?;
        let (found, proof) = found.zip(proof).ok_or(DagRefusal::Hook)?;
        let secret = dag_hooks::secret(&mut tx, &self.config().master_key, &found).await?;
        if !proof.holds(&secret, body) {
            return Err(DagRefusal::Hook.into());
        }
        dag_wishes::sync(&mut tx, found.tenant, found.cluster).await?;
        dag_hooks::note_call(&mut tx, found.tenant, hook, self.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn check_folder(sources: &[updraft_model::FolderSource], folder: &DagFolder) -> Result<(), AppError> {
    if sources.iter().any(|one| one.folder == *folder) {
        return Ok(());
    }
    let why = "no source of this cluster fills this folder: `updraft dags status` shows them";
    Err(AppError::invalid("folder", why))
}

fn view(hook: HookRecord, config: &AppConfig) -> DagHookView {
    let console = config.console_url.trim_end_matches('/');
    DagHookView {
        url: format!("{console}/api/v1/hooks/dags/{}", hook.id),
        id: hook.id,
        folder: hook.folder,
        created_at: hook.created_at,
        called_at: hook.called_at,
    }
}

// === impl HookProof ===

impl HookProof<'_> {
    /// In constant time.
    fn holds(self, secret: &SecretString, body: &[u8]) -> bool {
        let secret = secret.expose_secret().as_bytes();
        match self {
            Self::Token(token) => token.as_bytes().ct_eq(secret).into(),
            Self::Signature(said) => {
                let said = said
                    .strip_prefix("sha256=")
                    .and_then(|text| hex::decode(text).ok());
                let mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(secret);
                said.zip(mac.ok()).is_some_and(|(said, mut mac)| {
                    mac.update(body);
                    mac.verify_slice(&said).is_ok()
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::HookProof;

    /// GitHub's own example ("Validating webhook deliveries").
    #[test]
    fn a_signature_is_githubs() {
        let secret = SecretString::from("It's a Secret to Everybody");
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(HookProof::Signature(good).holds(&secret, b"Hello, World!"));
        assert!(!HookProof::Signature(good).holds(&secret, b"Hello, World?"));
        for bad in [
            "",
            "sha256=",
            "sha256=00",
            &good[7..],
            &good[..70],
            "sha1=757107ea",
        ] {
            assert!(
                !HookProof::Signature(bad).holds(&secret, b"Hello, World!"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_token_is_the_whole_secret() {
        let secret = SecretString::from("a-secret");
        assert!(HookProof::Token("a-secret").holds(&secret, b""));
        for bad in ["", "a", "a-secret-", "A-secret"] {
            assert!(!HookProof::Token(bad).holds(&secret, b""), "{bad}");
        }
    }
}
