//! The one outbound policy, as tenants meet it: a provider whose address leads inside fails its test, is not enabled, and
//! where it got past both signs nobody in.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::{Value, json};
use updraft_hostile::oidc::{DISCOVERY, Provider, Reply, SECRET};
use updraft_hostile::outbound::{Row, redirects, rows};
use updraft_model::{AuditActorKind, AuditOutcome, OidcConfig, ProviderConfig, ProviderId};
use updraft_store::identity_providers;

use crate::browser::Browser;
use crate::house::{House, Someone, rest};
use crate::log::Told;
use crate::names::Names;
use crate::oidc::connected;
use crate::play::play_all;

/// A tenant's provider, and whatever stands behind it.
struct Setting<'h> {
    house: &'h House,
    owner: Someone,
    provider: ProviderId,
    /// What everything about it is refused with.
    reason: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_it_leads_inside() {
    let names = Arc::new(Names::default());
    let good = Provider::start("").await;
    for row in rows() {
        if let Some(host) = url::Url::parse(row.url).unwrap().host_str() {
            names.lead(host.trim_end_matches('.'), row.leads);
            names.lead(host, row.leads);
        }
    }
    let house = House::with_names(std::slice::from_ref(&good.url), names).await;
    let played = |row: Row| {
        let config = OidcConfig {
            issuer: row.url.to_owned(),
            ..good.config()
        };
        refused(&house, row, config, &good).boxed()
    };
    play_all(rows().into_iter().map(played)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_leads_inside() {
    let mut acts = Vec::new();
    for row in redirects() {
        acts.push((row, Provider::start("").await, Provider::start("").await));
    }
    let urls: Vec<_> = acts
        .iter()
        .flat_map(|(_, hostile, good)| [hostile.url.clone(), good.url.clone()])
        .collect();
    let names = Arc::new(Names::default());
    names.lead("localtest.example", &["127.0.0.1"]);
    let house = House::with_names(&urls, names).await;
    for (row, hostile, _) in &acts {
        let to = Reply::Redirects(row.url.to_owned());
        hostile.behaves(|conduct| drop(conduct.instead.insert(DISCOVERY, to)));
    }
    let plays = acts
        .iter()
        .map(|(row, hostile, good)| refused(&house, *row, hostile.config(), good).boxed());
    play_all(plays).await;
}

/// The name was good when the provider was set up, and its address is another now.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_its_mind_gains_nothing() {
    for (name, later) in rebindings() {
        let (names, provider) = (Arc::new(Names::default()), Provider::start("").await);
        let provider = provider.called("idp.corp.internal");
        names.lead("idp.corp.internal", &["127.0.0.1"]);
        let house = House::with_names(std::slice::from_ref(&provider.url), names.clone()).await;
        let owner = house.owner().await;
        let id = connected(&house, &owner, provider.config()).await;
        let begun = Browser::of(&house.first, house.somewhere()).begins(id).await;
        house.assert_done(name, &begun, owner.tenant, None).await;
        names.lead("idp.corp.internal", later);
        let setting = Setting {
            house: &house,
            owner,
            provider: id,
            reason: "oidc.forbidden_address",
        };
        setting.fails_its_test(name).await;
        setting.signs_nobody_in(name).await;
    }
}

/// A name that the installation opened may lead into its network, and to no metadata service.
pub(crate) fn rebindings() -> [(&'static str, &'static [&'static str]); 3] {
    [
        ("rebound to the metadata service", &["169.254.169.254"]),
        ("rebound to the metadata service of IPv6", &["fd00:ec2::254"]),
        ("rebound to both", &["127.0.0.1", "169.254.169.254"]),
    ]
}

/// Beside a good one of the same tenant, which passes its test and is enabled.
async fn refused(house: &House, row: Row, config: OidcConfig, good: &Provider) {
    let name = row.name;
    let owner = house.owner().await;
    let control = connected(house, &owner, good.config()).await;
    let begun = Browser::of(&house.first, house.somewhere()).begins(control).await;
    house.assert_done(name, &begun, owner.tenant, None).await;

    let new = json!({"name": "Inside", "secret": SECRET, "config": ProviderConfig::Oidc(config)});
    let request = rest("POST", "/identity-providers")
        .bearer(&owner.token)
        .json(&new);
    let made = house.first.ask(house.somewhere(), request).await.must_be(201);
    let setting = Setting {
        house,
        provider: made["id"].as_str().unwrap().parse().unwrap(),
        owner,
        reason: row.refused,
    };
    setting.fails_its_test(name).await;
    setting.is_not_enabled(name).await;
    setting.is_enabled_all_the_same().await;
    setting.signs_nobody_in(name).await;
}

// === impl Setting ===

impl Setting<'_> {
    /// Done, and what was found is told.
    async fn fails_its_test(&self, name: &str) {
        let from = self.house.somewhere();
        let tested = self.house.second.ask(from, self.asked("test")).await;
        let view = tested.must_be(200);
        assert_eq!(view["last_test"]["passed"], false, "{name}: {view}");
        let id = tested.header("x-request-id");
        let lines = self.house.lines(Some(self.owner.tenant)).await;
        let lines: Vec<_> = lines
            .iter()
            .filter(|line| line.request_id.as_deref() == id)
            .collect();
        let [line] = lines[..] else {
            panic!("{name}: {lines:#?}");
        };
        assert_eq!(
            (line.action.as_str(), line.outcome),
            ("identity_provider.test", AuditOutcome::Done)
        );
        let found = line.after.as_ref().unwrap();
        assert_eq!(
            (&found["passed"], &found["why"]),
            (&Value::Bool(false), &json!([self.reason])),
            "{name}"
        );
        assert_eq!(
            (line.actor_id, line.address),
            (Some(self.owner.user.0), Some(from)),
            "{name}"
        );
    }

    async fn is_not_enabled(&self, name: &str) {
        let told = Told {
            tenant: Some(self.owner.tenant),
            action: "identity_provider.enable",
            reason: "provider-not-tested",
            kind: AuditActorKind::Person,
            actor: Some(self.owner.user.0),
            from: self.house.somewhere(),
        };
        let refused = self.house.second.ask(told.from, self.asked("enable")).await;
        self.house
            .assert_refused(name, &refused, self.owner.tenant, &told)
            .await;
    }

    /// As by an older version, or another hand in the database.
    async fn is_enabled_all_the_same(&self) {
        let mut tx = self.house.tx().await;
        identity_providers::set_enabled(&mut tx, self.owner.tenant, self.provider, true)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn signs_nobody_in(&self, name: &str) {
        let mut browser = Browser::of(&self.house.second, self.house.somewhere());
        let refused = browser.begins(self.provider).await;
        let told = Told {
            tenant: Some(self.owner.tenant),
            action: "sign_in.begin",
            reason: self.reason,
            kind: AuditActorKind::Provider,
            actor: Some(self.provider.0),
            from: browser.from,
        };
        self.house
            .assert_refused(name, &refused, self.owner.tenant, &told)
            .await;
    }

    fn asked(&self, verb: &str) -> axum::http::Request<axum::body::Body> {
        let path = format!("/identity-providers/{}/{verb}", self.provider);
        rest("POST", &path).bearer(&self.owner.token).empty()
    }
}
