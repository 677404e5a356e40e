//! Carrying a sign-in from the console's host to an Airflow's host: a single-use code, bound to both and to the browser.

use chrono::Duration;
use updraft_api::edge::{HandoverRedeemed, RedeemHandover};
use updraft_authz::{
    Actor, ClusterAction, SESSION_AUDIENCE, SESSION_ISSUER, SessionClaims, mint_session_token,
};
use updraft_model::ClusterId;
use updraft_sso::{random_code, sha256};
use updraft_store::handover_codes::{self, NewCode};
use updraft_store::{StoreError, sessions};
use url::Url;

use crate::audit::{Change, Target, attempt};
use crate::authenticate::session_actor;
use crate::error::{AppError, Resource};
use crate::{App, access};

const CODE_LIFETIME: Duration = Duration::seconds(60);

impl App {
    /// Where to send the browser so that the edge signs it in. `host`, `binding` (hex SHA-256 of the browser's binding
    /// cookie) and `return_to` come from the browser and are not trusted.
    ///
    /// # Errors
    /// [`AppError::NotFound`] unless `return_to` lies within a cluster of that host on which the actor has a role;
    /// [`AppError::Invalid`] on `binding`.
    pub async fn begin_handover(
        &self,
        actor: &Actor,
        host: &str,
        binding: &str,
        return_to: &str,
    ) -> Result<String, AppError> {
        let session = access::session(actor, "open Airflow in a browser")?;
        let cluster = cluster_of(return_to).ok_or(AppError::NotFound(Resource::Cluster))?;
        if self.config().airflow_host(actor.tenant, cluster).as_deref() != Some(host) {
            return Err(AppError::NotFound(Resource::Cluster));
        }
        let binding_hash = binding_hash(binding)?;
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, cluster, ClusterAction::View).await?;

        let code = random_code();
        let row = NewCode {
            code_hash: sha256(code.as_bytes()),
            session,
            host: host.to_owned(),
            binding_hash,
            expires_at: self.now() + CODE_LIFETIME,
        };
        handover_codes::insert(&mut connection, &row).await?;
        let mut url =
            Url::parse(&self.airflow_url(actor.tenant, cluster)).map_err(|_| AppError::Internal {
                what: "the template of Airflow's URL",
            })?;
        url.set_path("/_updraft/handover");
        url.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("return_to", return_to);
        Ok(url.into())
    }

    /// Trades a code for the edge's session token. The code is used up whatever comes of it.
    ///
    /// # Errors
    /// [`AppError::HandoverRefused`] when it is unknown, used, expired, made for another host or browser, or its
    /// session has ended.
    pub async fn redeem_handover(&self, redeem: RedeemHandover) -> Result<HandoverRedeemed, AppError> {
        let now = self.now();
        let mut attempt = attempt("sign_in.airflow").on(Target::new("host", &redeem.host, None));
        let mut tx = self.store().begin().await?;
        let code = handover_codes::redeem(&mut tx, &sha256(redeem.code.as_bytes()), now).await?;
        let session = match &code {
            Some(code) => sessions::find_by_id(&mut tx, code.session, now).await?,
            None => None,
        };
        if let Some(session) = &session {
            attempt = attempt.claimed_by(&session.email);
        }
        // Both sides are hashes of 256 random bits: how long the comparison takes tells nothing.
        let good = code.zip(session).filter(|(code, _)| {
            code.host == redeem.host && code.binding_hash == sha256(redeem.binding.as_bytes())
        });
        if let Some((_, session)) = &good {
            let by = session_actor(session.clone());
            attempt.done(&mut tx, &by, Change::none()).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        let (code, session) = good.ok_or(AppError::HandoverRefused)?;
        let claims = SessionClaims {
            iss: SESSION_ISSUER.to_owned(),
            aud: SESSION_AUDIENCE.to_owned(),
            sid: session.id,
            sub: session.user,
            tenant: session.tenant,
            email: session.email,
            name: session.name,
            host: code.host,
            iat: now.timestamp(),
            exp: session.expires_at.timestamp(),
        };
        let session_token =
            mint_session_token(&self.config().session_keys.signing(now)?, &claims).map_err(|_| {
                AppError::Internal {
                    what: "signing a session",
                }
            })?;
        Ok(HandoverRedeemed {
            session_token,
            expires_at: claims.exp,
        })
    }
}

/// The cluster within whose prefix a local path lies; `None` for anything that is not plainly such a path.
fn cluster_of(return_to: &str) -> Option<ClusterId> {
    let hostile = |c: char| c.is_control() || c == '\\';
    if return_to.len() > 2_000 || return_to.contains(hostile) {
        return None;
    }
    let rest = return_to.strip_prefix("/airflow-webserver-")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .map_or(rest, |end| &rest[..end]);
    let after = &rest[digits.len()..];
    let id: ClusterId = digits.parse().ok()?;
    let canonical = id.to_string() == digits && id.0 > 0;
    let path = after.split(['?', '#']).next().unwrap_or_default();
    // A browser takes `%2e` for a dot.
    let dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let no_escape = !path.split('/').any(dots);
    (canonical && no_escape && (after.is_empty() || after.starts_with(['/', '?', '#']))).then_some(id)
}

fn binding_hash(binding: &str) -> Result<[u8; 32], AppError> {
    let bytes = hex::decode(binding)
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| AppError::invalid("binding", "open Airflow's own address and sign in from there"))
}

#[cfg(test)]
mod tests {
    use updraft_model::ClusterId;

    use super::cluster_of;

    #[test]
    fn a_way_back_lies_within_one_clusters_prefix() {
        for good in [
            "/airflow-webserver-7",
            "/airflow-webserver-7/",
            "/airflow-webserver-7/dags?x=/../",
            "/airflow-webserver-7?a",
        ] {
            assert_eq!(cluster_of(good), Some(ClusterId(7)), "{good}");
        }
    }

    #[test]
    fn any_other_way_back_is_refused() {
        for bad in [
            "",
            "/",
            "//evil.example/airflow-webserver-7/",
            "https://evil.example/airflow-webserver-7/",
            "/airflow-webserver-",
            "/airflow-webserver-x/",
            "/airflow-webserver-7x/",
            "/airflow-webserver-07/",
            "/airflow-webserver-0/",
            "/airflow-webserver-7/../airflow-webserver-8/",
            "/airflow-webserver-7/.%2E/airflow-webserver-8/",
            "/airflow-webserver-7/\\evil",
            "/airflow-webserver-7/\r\nSet-Cookie: a=b",
            "airflow-webserver-7/",
        ] {
            assert_eq!(cluster_of(bad), None, "{bad}");
        }
    }
}
