//! Ways back from a provider that are good, in the wrong browser, for the second time, or where nobody asked.

use updraft_hostile::oidc::Provider;
use updraft_hostile::saml::encode;
use updraft_model::{AuditActorKind, ProviderConfig, ProviderId};
use updraft_store::identity_providers;
use url::Url;

use crate::browser::Browser;
use crate::house::{Answer, House, Someone, rest};
use crate::log::Told;
use crate::oidc::connected;
use crate::saml::Stage;

/// As the log tells them.
pub(crate) const ROWS: [&str; 11] = [
    "oidc: in another browser",
    "oidc: for the second time",
    "oidc: for the third time",
    "oidc: at another tenant's provider",
    "oidc: at a provider that is switched off",
    "oidc: beginning at one that is switched off",
    "saml: in another browser",
    "saml: for the second time",
    "saml: that nobody asked for",
    "saml: replayed in another sign-in",
    "saml: larger than any form",
];

struct Oidc<'h> {
    house: &'h House,
    owner: Someone,
    idp: &'h Provider,
    provider: ProviderId,
}

// === impl Oidc ===

impl<'h> Oidc<'h> {
    async fn set(house: &'h House, idp: &'h Provider) -> Self {
        let owner = house.owner().await;
        Self {
            provider: connected(house, &owner, idp.config()).await,
            house,
            owner,
            idp,
        }
    }

    async fn way_back(&self, browser: &mut Browser<'_>) -> String {
        let sent = browser.begins(self.provider).await;
        let query = self.idp.visited(&Url::parse(sent.location()).unwrap());
        let query = serde_urlencoded::to_string(query).unwrap();
        format!("/sign-in/oidc/{}/callback?{query}", self.provider)
    }

    async fn assert_refused(&self, name: &str, reason: &str, refused: &Answer, browser: &Browser<'_>) {
        self.assert_refused_at("sign_in.oidc", name, reason, refused, browser)
            .await;
    }

    async fn assert_refused_at(
        &self,
        action: &str,
        name: &str,
        reason: &str,
        refused: &Answer,
        browser: &Browser<'_>,
    ) {
        let told = Told {
            tenant: Some(self.owner.tenant),
            action,
            reason,
            kind: AuditActorKind::Provider,
            actor: Some(self.provider.0),
            from: browser.from,
        };
        self.house
            .assert_refused(name, refused, self.owner.tenant, &told)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_is_good_once_in_the_browser_that_began_it_at_its_provider() {
    let (idp, theirs) = (Provider::start("").await, Provider::start("").await);
    let house = House::open_to(&[idp.url.clone(), theirs.url.clone()]).await;
    let here = Oidc::set(&house, &idp).await;
    let there = Oidc::set(&house, &theirs).await;
    let browser = || Browser::of(&house.first, house.somewhere());

    let (mut ada, mut thief) = (browser(), browser());
    let stolen = here.way_back(&mut ada).await;
    let refused = thief.get(&stolen).await;
    here.assert_refused(ROWS[0], "sign_in.other_browser", &refused, &thief)
        .await;
    let refused = ada.get(&stolen).await;
    here.assert_refused(ROWS[1], "sign_in.replayed", &refused, &ada)
        .await;

    let mut ada = browser();
    let way_back = here.way_back(&mut ada).await;
    let done = ada.get(&way_back).await;
    house
        .assert_done("the ways back", &done, here.owner.tenant, Some("sign_in.oidc"))
        .await;
    let again = ada.get(&way_back).await;
    here.assert_refused(ROWS[2], "sign_in.replayed", &again, &ada)
        .await;

    let mut ada = browser();
    let way_back = here.way_back(&mut ada).await;
    let moved = way_back.replace(&here.provider.to_string(), &there.provider.to_string());
    let refused = ada.get(&moved).await;
    there
        .assert_refused(ROWS[3], "sign_in.wrong_provider", &refused, &ada)
        .await;

    let mut ada = browser();
    let way_back = here.way_back(&mut ada).await;
    let path = format!("/identity-providers/{}/disable", here.provider);
    let off = rest("POST", &path).bearer(&here.owner.token).empty();
    house.first.ask(house.somewhere(), off).await.must_be(200);
    let refused = ada.get(&way_back).await;
    here.assert_refused(ROWS[4], "sign_in.provider_disabled", &refused, &ada)
        .await;
    let mut ada = browser();
    let refused = ada.begins(here.provider).await;
    here.assert_refused_at(
        "sign_in.begin",
        ROWS[5],
        "sign_in.provider_disabled",
        &refused,
        &ada,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_good_once_in_the_browser_that_asked() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let browser = || Browser::of(&house.first, house.somewhere());

    let (mut ada, mut thief) = (browser(), browser());
    let begun = stage.begun(&mut ada).await;
    let said = encode(&begun.genuine.said("signed_assertion"));
    let refused = stage.posts(&mut thief, &said, &begun.state).await;
    stage
        .assert_refused(ROWS[6], "sign_in.other_browser", "sign_in.saml", &refused, &thief)
        .await;

    let mut ada = browser();
    let begun = stage.begun(&mut ada).await;
    let said = encode(&begun.genuine.said("signed_assertion"));
    let done = stage.posts(&mut ada, &said, &begun.state).await;
    house
        .assert_done("the responses", &done, stage.owner.tenant, Some("sign_in.saml"))
        .await;
    let again = stage.posts(&mut ada, &said, &begun.state).await;
    stage
        .assert_refused(ROWS[7], "sign_in.replayed", "sign_in.saml", &again, &ada)
        .await;

    let mut stranger = browser();
    let refused = stage.posts(&mut stranger, &said, "").await;
    stage
        .assert_refused(ROWS[8], "saml.unsolicited", "sign_in.saml", &refused, &stranger)
        .await;

    let mut ada = browser();
    let once_more = stage.begun(&mut ada).await;
    let refused = stage.posts(&mut ada, &said, &once_more.state).await;
    stage
        .assert_refused(ROWS[9], "saml.wrong_request", "sign_in.saml", &refused, &ada)
        .await;

    let mut stranger = browser();
    let refused = stage.posts(&mut stranger, &"A".repeat(2_000_000), "").await;
    let told = Told {
        tenant: None,
        action: "console.form",
        reason: "too-large",
        kind: AuditActorKind::Nobody,
        actor: None,
        from: stranger.from,
    };
    house
        .assert_refused(ROWS[10], &refused, stage.owner.tenant, &told)
        .await;
}

/// Where the tenant lets people begin at the provider, what was said once is good once.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_is_good_once_where_it_is_allowed() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let key = house.first.app.config().master_key.clone();
    let mut tx = house.tx().await;
    let (tenant, id) = (stage.owner.tenant, stage.provider);
    let record = identity_providers::find(&mut tx, tenant, id)
        .await
        .unwrap()
        .unwrap();
    let ProviderConfig::Saml(mut config) = record.config else {
        panic!("SAML");
    };
    config.allow_idp_initiated = true;
    let config = ProviderConfig::Saml(config);
    identity_providers::configure(&mut tx, &key, tenant, id, &config, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let asks_nobody = |said: String| {
        let answers = said.match_indices(" InResponseTo=\"").count();
        assert!(answers > 0);
        let mut text = said;
        while let Some(at) = text.find(" InResponseTo=\"") {
            let end = at + 15 + text[at + 15..].find('"').unwrap() + 1;
            text.replace_range(at..end, "");
        }
        encode(&updraft_hostile::saml::signed_again(&text))
    };
    let said = asks_nobody(stage.genuine("_none".to_owned()).said("signed_assertion"));
    let mut ada = Browser::of(&house.first, house.somewhere());
    let done = stage.posts(&mut ada, &said, "").await;
    house
        .assert_done("a replay", &done, tenant, Some("sign_in.saml"))
        .await;
    let mut thief = Browser::of(&house.second, house.somewhere());
    let refused = stage.posts(&mut thief, &said, "").await;
    stage
        .assert_refused("a replay", "saml.replay", "sign_in.saml", &refused, &thief)
        .await;
}
