//! A provider's word that a session has ended: only its own ends one.

use updraft_hostile::oidc::{self, Provider};
use updraft_hostile::saml;
use updraft_model::{AuditActorKind, ProviderId};
use url::Url;

use crate::browser::Browser;
use crate::house::{Answer, House, request};
use crate::log::Told;
use crate::oidc::connected;
use crate::saml::Stage;

async fn says_so(house: &House, provider: ProviderId, browser: &Browser<'_>, token: &str) -> Answer {
    let form = format!("logout_token={token}");
    let post = request("POST", &format!("/sign-in/oidc/{provider}/logout")).form(form);
    house.second.ask(browser.from, post).await
}

async fn is_signed_in(house: &House, token: &str) -> bool {
    house.first.app.authenticate(token).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_is_signed_ends_no_session() {
    let provider = Provider::start("").await;
    let house = House::open_to(std::slice::from_ref(&provider.url)).await;
    let owner = house.owner().await;
    let id = connected(&house, &owner, provider.config()).await;
    let mut ada = Browser::of(&house.first, house.somewhere());
    let sent = ada.begins(id).await;
    let query = provider.visited(&Url::parse(sent.location()).unwrap());
    let query = serde_urlencoded::to_string(query).unwrap();
    ada.get(&format!("/sign-in/oidc/{id}/callback?{query}")).await;
    let session = ada.session().unwrap().to_owned();

    for row in oidc::logout_rows() {
        let stranger = Browser::of(&house.second, house.somewhere());
        let refused = says_so(&house, id, &stranger, &provider.logout_token(row.change)).await;
        let told = Told {
            tenant: Some(owner.tenant),
            action: "sign_out.provider",
            reason: row.refused,
            kind: AuditActorKind::Provider,
            actor: Some(id.0),
            from: stranger.from,
        };
        house
            .assert_refused(row.name, &refused, owner.tenant, &told)
            .await;
        assert!(is_signed_in(&house, &session).await, "{}", row.name);
    }

    let provider_itself = Browser::of(&house.second, house.somewhere());
    let done = says_so(&house, id, &provider_itself, &provider.logout_token(|_| {})).await;
    house
        .assert_done("all rows", &done, owner.tenant, Some("sign_out.provider"))
        .await;
    assert!(!is_signed_in(&house, &session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_saml_providers_own_word_ends_a_session() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let mut ada = Browser::of(&house.first, house.somewhere());
    let begun = stage.begun(&mut ada).await;
    let said = saml::encode(&begun.genuine.said("signed_assertion"));
    stage.posts(&mut ada, &said, &begun.state).await;
    let session = ada.session().unwrap().to_owned();

    let path = format!("/sign-in/saml/{}/logout", stage.provider);
    for row in saml::logout_rows() {
        let query = (row.query)(&begun.genuine.logout_request());
        let mut stranger = Browser::of(&house.second, house.somewhere());
        let refused = stranger.get(&format!("{path}?{query}")).await;
        stage
            .assert_refused(row.name, row.refused, "sign_out.provider", &refused, &stranger)
            .await;
        assert!(is_signed_in(house, &session).await, "{}", row.name);
    }

    let query = begun.genuine.logout_request();
    let mut sent_by_it = Browser::of(&house.second, house.somewhere());
    let done = sent_by_it.get(&format!("{path}?{query}")).await;
    house
        .assert_done("all rows", &done, stage.owner.tenant, Some("sign_out.provider"))
        .await;
}
