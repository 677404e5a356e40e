//! From claims to an identity. Pure.

use updraft_model::{OidcConfig, OidcPreset};

use super::claims::{Claims, texts};
use super::refusals::setting;
use crate::{Refusal, VouchedIdentity};

/// More groups than any person has any business with; what a token or a policy can carry is bounded.
const GROUPS: usize = 1000;
/// In characters.
const TEXT: usize = 256;

/// Everything that was verified about one person.
#[derive(Debug)]
pub(super) struct Vouched {
    pub(super) subject: String,
    pub(super) id_token: Claims,
    pub(super) userinfo: Option<Claims>,
}

// === impl Vouched ===

impl Vouched {
    /// Whether userinfo has to be asked, as far as the ID token can tell.
    pub(super) fn needs_userinfo(config: &OidcConfig, id_token: &Claims) -> bool {
        let groups = config.groups_claim.as_deref();
        groups.is_some_and(|claim| id_token.at(claim).is_none())
            || !id_token.has("email")
            || !id_token.has("name")
    }

    /// # Errors
    /// When the person is not of a hosted domain, or their groups cannot be known.
    pub(super) fn identity(&self, config: &OidcConfig) -> Result<VouchedIdentity, Refusal> {
        let hosted_domain = self.text("hd");
        judge_hosted_domain(config, hosted_domain.as_deref())?;
        let email = self.text("email").filter(|email| email.contains('@'));
        Ok(VouchedIdentity {
            issuer: config.issuer.clone(),
            subject: self.subject.clone(),
            email_verified: email.is_some() && self.says("email_verified"),
            email,
            name: self.text("name"),
            user_name: self.text("preferred_username"),
            directory_id: self.directory_id(config),
            groups: self.groups(config)?,
            hosted_domain,
            provider_session: self.id_token.text("sid").map(str::to_owned),
            id_token: None,
            refresh_token: None,
            session_until: None,
        })
    }

    /// With Entra `sub` is another one in each application, `oid` the same in all of a directory. The ID token's word alone.
    fn directory_id(&self, config: &OidcConfig) -> String {
        let oid = self
            .id_token
            .text("oid")
            .filter(|_| config.preset == OidcPreset::Entra);
        oid.unwrap_or(&self.subject).to_owned()
    }

    /// The ID token's word, else userinfo's.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let of = |claims: &Claims| claims.text(name).map(str::trim).and_then(presentable);
        of(&self.id_token).or_else(|| of(self.userinfo.as_ref()?))
    }

    /// The address and whether it was verified have to be said in one breath.
    fn says(&self, name: &str) -> bool {
        match &self.userinfo {
            Some(userinfo) if !self.id_token.has("email") => userinfo.is_true(name),
            _ => self.id_token.is_true(name),
        }
    }

    fn groups(&self, config: &OidcConfig) -> Result<Vec<String>, Refusal> {
        let Some(claim) = config.groups_claim.as_deref() else {
            return Ok(Vec::new());
        };
        let userinfo = || self.userinfo.as_ref().and_then(|claims| claims.at(claim));
        let Some(value) = self.id_token.at(claim).or_else(userinfo) else {
            // Many providers leave the claim out when there is no group; Entra also when there are too many.
            return self.judge_overage(claim).map(|()| Vec::new());
        };
        let groups = texts(value).ok_or_else(|| {
            setting(
                "oidc.groups_malformed",
                "the claim with the groups is no list of names; choose another claim, or have the provider send names",
            )
        })?;
        if groups.len() > GROUPS {
            return Err(setting(
                "oidc.too_many_groups",
                "you are in more than 1,000 groups; have the provider send only those that matter to Updraft",
            ));
        }
        Ok(sorted(groups))
    }

    /// Entra's `_claim_names` and `hasgroups` instead of more than 200 groups.
    fn judge_overage(&self, claim: &str) -> Result<(), Refusal> {
        let elsewhere = |claims: &Claims| {
            let pointed_at = claims
                .at("_claim_names")
                .is_some_and(|names| names.get(claim).is_some());
            pointed_at || claims.is_true("hasgroups")
        };
        if !elsewhere(&self.id_token) && !self.userinfo.as_ref().is_some_and(elsewhere) {
            return Ok(());
        }
        Err(setting(
            "oidc.groups_overage",
            "you are in more groups than the provider puts into its answer, so Updraft cannot know them; have it send only \
             the groups assigned to the application (Entra: token configuration, groups claim)",
        ))
    }
}

/// Google vouches for everyone with an account: the domain is what makes them this tenant's.
fn judge_hosted_domain(config: &OidcConfig, domain: Option<&str>) -> Result<(), Refusal> {
    let anyone = config.hosted_domains.is_empty() && config.preset != OidcPreset::Google;
    let hosted = |own: &str| {
        config
            .hosted_domains
            .iter()
            .any(|one| one.eq_ignore_ascii_case(own))
    };
    if anyone || domain.is_some_and(hosted) {
        return Ok(());
    }
    if config.hosted_domains.is_empty() {
        return Err(setting(
            "oidc.hosted_domain_unset",
            "Google vouches for everyone with a Google account: name your own domains in hosted_domains first",
        ));
    }
    Err(setting(
        "oidc.other_domain",
        "this account is not of one of your organisation's domains; sign in with your work account",
    ))
}

fn sorted(groups: Vec<&str>) -> Vec<String> {
    let mut groups: Vec<String> = groups.into_iter().filter_map(presentable).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Neither empty nor endless, and nothing that draws over a terminal. Left as it is: ` admin` is another group than `admin`.
fn presentable(text: &str) -> Option<String> {
    let fit = !text.is_empty() && text.chars().count() <= TEXT && !text.contains(char::is_control);
    fit.then(|| text.to_owned())
}
