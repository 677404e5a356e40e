//! From what the browser brought to a verified person.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use updraft_model::OidcConfig;

use super::attempt::{Answer as Brought, Attempt, Callback};
use super::claims::Claims;
use super::directory::{Directory, Source};
use super::document::Document;
use super::id_token::{Expected, SKEW};
use super::identity::Vouched;
use super::refusals::{again, proof, setting};
use super::signed::Signed;
use super::token_endpoint::{self, Answer, Tokens};
use super::userinfo;
use crate::{Refusal, VouchedIdentity};

/// How long a person may take at the provider.
const ATTEMPT: TimeDelta = TimeDelta::minutes(15);

/// A sign-in whose browser has come back.
#[derive(Debug)]
pub(super) struct Finish<'a> {
    pub(super) config: &'a OidcConfig,
    pub(super) secret: Option<&'a SecretString>,
    pub(super) attempt: &'a Attempt,
    pub(super) callback: &'a Callback,
    pub(super) now: DateTime<Utc>,
}

// === impl Finish ===

impl Finish<'_> {
    /// The person, and what was said of them.
    pub(super) async fn run(&self, directory: &Directory) -> Result<(VouchedIdentity, Vouched), Refusal> {
        self.judge_attempt()?;
        let document = directory.document(self.config).await?;
        self.judge_issuer(&document)?;
        let tokens = self.redeem(directory, &document, self.code()?).await?;
        let vouched = self.vouched(directory, &document, &tokens).await?;
        let identity = VouchedIdentity {
            id_token: tokens.id_token,
            refresh_token: tokens.refresh_token,
            ..vouched.identity(self.config)?
        };
        Ok((identity, vouched))
    }

    fn judge_attempt(&self) -> Result<(), Refusal> {
        let state = self.callback.state().unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.attempt.state.as_bytes())) {
            return Err(again(
                "oidc.wrong_state",
                "this sign-in was not begun in this browser",
            ));
        }
        let age = self.now - self.attempt.begun_at;
        if age > ATTEMPT || age < -SKEW {
            return Err(again("oidc.attempt_expired", "this sign-in took too long"));
        }
        if self.attempt.issuer != self.config.issuer || self.attempt.client_id != self.config.client_id {
            return Err(again(
                "oidc.provider_changed",
                "the identity provider was set up anew in the meantime",
            ));
        }
        Ok(())
    }

    /// Whether the answer is this provider's own and not one that another provider was made to give (RFC 9207).
    fn judge_issuer(&self, document: &Document) -> Result<(), Refusal> {
        match &self.callback.issuer {
            Some(issuer) if *issuer == document.issuer => Ok(()),
            None if !document.authorization_response_iss_parameter_supported => Ok(()),
            _ => Err(proof("oidc.mixed_up", "another provider sent you back")),
        }
    }

    fn code(&self) -> Result<&SecretString, Refusal> {
        match &self.callback.answer {
            Brought::Code(code) => Ok(code),
            Brought::Error(error) => Err(match error.as_str() {
                "access_denied" => again(
                    "oidc.denied",
                    "the identity provider did not let you in, or you cancelled",
                ),
                "login_required"
                | "interaction_required"
                | "consent_required"
                | "account_selection_required" => again(
                    "oidc.sign_in_unfinished",
                    "the identity provider wants to ask you something first",
                ),
                "server_error" | "temporarily_unavailable" => super::refusals::failing("sign-in page"),
                _ => setting(
                    "oidc.provider_refused",
                    "the identity provider refused to begin the sign-in: its own log says why, most often a redirect \
                     address or a scope that this client may not use",
                ),
            }),
        }
    }

    async fn redeem(
        &self,
        directory: &Directory,
        document: &Document,
        code: &SecretString,
    ) -> Result<Tokens, Refusal> {
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", self.attempt.redirect_uri.as_str()),
            ("code_verifier", &self.attempt.verifier),
        ];
        match token_endpoint::ask(&directory.outbound, self.config, self.secret, document, &grant).await? {
            Answer::Tokens(tokens) => Ok(tokens),
            Answer::GrantRefused => Err(again(
                "oidc.code_refused",
                "the identity provider does not accept this sign-in any more: it was used before, or took too long",
            )),
        }
    }

    async fn vouched(
        &self,
        directory: &Directory,
        document: &Document,
        tokens: &Tokens,
    ) -> Result<Vouched, Refusal> {
        let (subject, id_token) = self.id_token(directory, document, tokens).await?;
        let userinfo = match &document.userinfo_endpoint {
            Some(url) if Vouched::needs_userinfo(self.config, &id_token) => {
                Some(userinfo::ask(&directory.outbound, url, &tokens.access_token, &subject).await?)
            }
            _ => None,
        };
        Ok(Vouched {
            subject,
            id_token,
            userinfo,
        })
    }

    async fn id_token(
        &self,
        directory: &Directory,
        document: &Document,
        tokens: &Tokens,
    ) -> Result<(String, Claims), Refusal> {
        let token = tokens.id_token.as_ref().ok_or_else(|| {
            setting(
                "oidc.id_token_missing",
                "the identity provider sent no ID token; allow this client the scope openid there",
            )
        })?;
        let signed = Signed::parse(token.expose_secret())?;
        signed.judge_type(&["JWT"])?;
        let claims = directory.verify(document, &signed, Source::Provider).await?;
        let expected = Expected {
            config: self.config,
            nonce: Some(&self.attempt.nonce),
            access_token: tokens.access_token.expose_secret(),
            algorithm: signed.algorithm(),
            now: self.now,
        };
        let subject = expected.judge(&claims)?.to_owned();
        Ok((subject, claims))
    }
}
