//! Asking again, without the person: are they still there, are their groups still the same?

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use updraft_model::OidcConfig;

use super::claims::Claims;
use super::directory::{Directory, Source};
use super::document::Document;
use super::id_token::Expected;
use super::identity::Vouched;
use super::refusals::{proof, unexpected};
use super::signed::Signed;
use super::token_endpoint::{self, Answer, Tokens};
use super::userinfo;
use crate::{Refusal, VouchedIdentity};

/// What the provider says of a person now.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// Still vouched for; with the refresh token to use next time, which may be the same.
    Vouched(Box<VouchedIdentity>),
    /// The provider no longer vouches: their sessions end.
    Gone(Refusal),
}

/// One person to ask about.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) config: &'a OidcConfig,
    pub(super) secret: Option<&'a SecretString>,
    pub(super) subject: &'a str,
    pub(super) refresh_token: &'a SecretString,
    pub(super) now: DateTime<Utc>,
}

// === impl Known ===

impl Known<'_> {
    pub(super) async fn ask(&self, directory: &Directory) -> Result<Refreshed, Refusal> {
        let document = directory.document(self.config).await?;
        let grant = [
            ("grant_type", "refresh_token"),
            ("refresh_token", self.refresh_token.expose_secret()),
        ];
        let answer =
            token_endpoint::ask(&directory.outbound, self.config, self.secret, &document, &grant).await?;
        let Answer::Tokens(tokens) = answer else {
            return Ok(Refreshed::Gone(Refusal::new(
                "oidc.person_gone",
                "your identity provider no longer vouches for this sign-in; sign in again",
            )));
        };
        let vouched = self.vouched(directory, &document, &tokens).await?;
        match vouched.identity(self.config) {
            Ok(identity) => Ok(Refreshed::Vouched(Box::new(self.with_tokens(identity, tokens)))),
            // Whoever left the organisation's domain left.
            Err(refusal) if refusal.code == "oidc.other_domain" => Ok(Refreshed::Gone(refusal)),
            Err(refusal) => Err(refusal),
        }
    }

    /// An ID token may come or not (OpenID Connect Core 1.0, section 12.2); what it does not say, userinfo says.
    async fn vouched(
        &self,
        directory: &Directory,
        document: &Document,
        tokens: &Tokens,
    ) -> Result<Vouched, Refusal> {
        let id_token = match &tokens.id_token {
            Some(token) => Some(self.verified(directory, document, token, tokens).await?),
            None => None,
        };
        let incomplete = id_token
            .as_ref()
            .is_none_or(|claims| Vouched::needs_userinfo(self.config, claims));
        let userinfo = match (&document.userinfo_endpoint, incomplete) {
            (Some(url), true) => {
                Some(userinfo::ask(&directory.outbound, url, &tokens.access_token, self.subject).await?)
            }
            (None, true) if id_token.is_none() => return Err(unexpected("token endpoint")),
            _ => None,
        };
        Ok(Vouched {
            subject: self.subject.to_owned(),
            id_token: id_token.unwrap_or_default(),
            userinfo,
        })
    }

    async fn verified(
        &self,
        directory: &Directory,
        document: &Document,
        token: &SecretString,
        tokens: &Tokens,
    ) -> Result<Claims, Refusal> {
        let signed = Signed::parse(token.expose_secret())?;
        signed.judge_type(&["JWT"])?;
        let claims = directory.verify(document, &signed, Source::Provider).await?;
        let expected = Expected {
            config: self.config,
            nonce: None,
            access_token: tokens.access_token.expose_secret(),
            algorithm: signed.algorithm(),
            now: self.now,
        };
        if expected.judge(&claims)? != self.subject {
            return Err(proof("oidc.wrong_subject", "it is about another person"));
        }
        Ok(claims)
    }

    fn with_tokens(&self, identity: VouchedIdentity, tokens: Tokens) -> VouchedIdentity {
        let refresh_token = tokens.refresh_token.unwrap_or_else(|| self.refresh_token.clone());
        VouchedIdentity {
            id_token: tokens.id_token,
            refresh_token: Some(refresh_token),
            ..identity
        }
    }
}
