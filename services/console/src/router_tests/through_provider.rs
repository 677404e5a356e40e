//! Signing in through an organisation's own provider: who somebody is then, and what is refused on the way.

mod directory;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, RETRY_AFTER};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use updraft_api::audit::AuditOf;
use updraft_api::rest::Me;
use updraft_api::sign_in::NewIdentityProvider;
use updraft_app::audit::AuditFilter;
use updraft_app::{Actor, PageRequest};
use updraft_model::{
    OidcConfig, OidcPreset, ProviderConfig, ProviderId, ScimLink, TenantId, TenantRole, UserId,
};
use updraft_store::{domains, memberships, person_facts};

use super::idp::Idp;
use super::{Answered, House, answered, house};
use crate::fixtures::assert_accessible;

/// A browser that a person signs in with.
#[derive(Clone, Debug, Default)]
struct Browser {
    cookies: Vec<(String, String)>,
}

// === impl Browser ===

impl Browser {
    async fn get(&mut self, house: &House, path: &str) -> Answered {
        let line: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = Request::get(path).header(COOKIE, line.join("; "));
        let answer = answered(house.send(request.body(Body::empty()).unwrap()).await).await;
        for cookie in &answer.cookies {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    /// Off to the provider and, unless something is done to it, the way back.
    async fn sent(&mut self, house: &House, idp: &Idp, provider: ProviderId, return_to: &str) -> String {
        let back = url::form_urlencoded::byte_serialize(return_to.as_bytes()).collect::<String>();
        let sent = self
            .get(house, &format!("/sign-in/through/{provider}?return_to={back}"))
            .await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.html);
        format!(
            "/sign-in/oidc/{provider}/callback?{}",
            idp.visited(&sent.location.unwrap())
        )
    }

    async fn signs_in(&mut self, house: &House, idp: &Idp, provider: ProviderId) -> Answered {
        let way_back = self.sent(house, idp, provider, "/clusters").await;
        self.get(house, &way_back).await
    }

    fn token(&self) -> Option<&str> {
        let session = self.cookies.iter().find(|(name, _)| name == "updraft_session");
        session
            .map(|(_, token)| token.as_str())
            .filter(|token| !token.is_empty())
    }

    async fn me(&self, house: &House) -> Me {
        let actor = house.app.authenticate(self.token().unwrap()).await.unwrap();
        house.app.me(&actor).await.unwrap()
    }
}

/// A provider that was tested and enabled by the owner.
async fn connected(house: &House, owner: &Actor, idp: &Idp) -> ProviderId {
    connected_as(house, owner, idp, OidcPreset::Generic, None).await
}

async fn connected_as(
    house: &House,
    owner: &Actor,
    idp: &Idp,
    preset: OidcPreset,
    link_scim_by: Option<ScimLink>,
) -> ProviderId {
    let config = ProviderConfig::Oidc(OidcConfig {
        issuer: idp.url.clone(),
        client_id: "updraft".into(),
        preset,
        scopes: Vec::new(),
        groups_claim: Some("groups".into()),
        hosted_domains: Vec::new(),
        link_scim_by,
    });
    let new = NewIdentityProvider {
        id: None,
        name: "Acme".into(),
        config: Some(config),
        metadata: None,
        secret: Some("the client's secret".into()),
    };
    let id = house.app.create_identity_provider(owner, new).await.unwrap().id;
    let tested = house.app.test_identity_provider(owner, id).await.unwrap();
    assert!(
        tested.last_test.as_ref().unwrap().passed,
        "{:?}",
        tested.last_test
    );
    house.app.enable_identity_provider(owner, id).await.unwrap();
    id
}

async fn stage() -> (House, Actor, Idp, ProviderId) {
    let (house, idp) = (house().await, Idp::start().await);
    let owner = house.actor("ada@example.com").await;
    let provider = connected(&house, &owner, &idp).await;
    (house, owner, idp, provider)
}

/// Refused with a page in words, nobody signed in, and the reason in the audit log.
async fn assert_refused(house: &House, owner: &Actor, answer: &Answered, reason: &str) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{reason}: {}", answer.html);
    assert_accessible(&answer.html);
    assert!(
        !answer
            .cookies
            .iter()
            .any(|cookie| cookie.starts_with("updraft_session=")),
        "{reason}"
    );
    if !reason.is_empty() {
        assert!(
            log(house, owner).await.contains(&reason.to_owned()),
            "{reason} is not in the audit log"
        );
    }
}

/// Why the tenant's sign-ins were refused, as its owners read it.
async fn log(house: &House, owner: &Actor) -> Vec<String> {
    let page = PageRequest {
        cursor: None,
        limit: Some(200),
    };
    let lines = house
        .app
        .list_audit(owner, AuditOf::Tenant, &AuditFilter::default(), page)
        .await
        .unwrap()
        .items;
    lines.into_iter().filter_map(|line| line.reason).collect()
}

async fn groups(house: &House, tenant: TenantId, user: UserId) -> Vec<String> {
    let mut connection = house.store().connection().await.unwrap();
    let known = person_facts::find(&mut connection, tenant, user).await.unwrap();
    known.unwrap().facts.groups.into_iter().collect()
}

fn ada_of_acme() -> Value {
    json!({"email": "ada@example.com", "email_verified": true, "name": "Ada of Acme", "groups": ["data"]})
}

#[tokio::test]
async fn whoever_the_provider_vouches_for_lands_where_they_wanted_as_a_new_member() {
    let (house, _, idp, provider) = stage().await;
    idp.person(
        "1",
        json!({"email": "Chi@example.com", "email_verified": true, "name": "Chi"}),
    );
    let mut browser = Browser::default();
    let way_back = browser
        .sent(&house, &idp, provider, "/clusters/1/nodes?x=1")
        .await;
    let done = browser.get(&house, &way_back).await;
    assert_eq!(
        done.location.as_deref(),
        Some("/clusters/1/nodes?x=1"),
        "{}",
        done.html
    );
    let me = browser.me(&house).await;
    assert_eq!((me.email.as_str(), me.name.as_str()), ("chi@example.com", "Chi"));
    assert_eq!(me.tenant_role, TenantRole::Member);

    let mut again = Browser::default();
    again.signs_in(&house, &idp, provider).await;
    assert_eq!(
        again.me(&house).await.user,
        me.user,
        "the same subject is the same person"
    );
}

#[tokio::test]
async fn an_address_is_nobody() {
    let (house, owner, idp, provider) = stage().await;
    idp.person("attacker", ada_of_acme());
    let mut browser = Browser::default();
    browser.signs_in(&house, &idp, provider).await;
    let me = browser.me(&house).await;
    assert_ne!(me.user, owner.user, "the local owner has the same address");
    assert_eq!((me.tenant_role, me.tenant), (TenantRole::Member, owner.tenant));

    let (quota, password) = (
        updraft_app::Quota {
            max_clusters: 1,
            max_nodes: 1,
        },
        super::PASSWORD.to_owned().into(),
    );
    let away = house
        .app
        .install_tenant("Away", quota, "eve@away.example", "Eve", &password);
    assert!(away.await.unwrap());
    let eve = house.actor("eve@away.example").await;
    idp.person(
        "attacker-2",
        json!({"email": "eve@away.example", "email_verified": true}),
    );
    let mut browser = Browser::default();
    browser.signs_in(&house, &idp, provider).await;
    let me = browser.me(&house).await;
    assert_ne!(me.user, eve.user);
    assert_eq!(
        me.tenant, owner.tenant,
        "a session of the provider's tenant alone"
    );
}

#[tokio::test]
async fn a_way_back_is_good_once_in_the_browser_that_began_and_with_its_provider() {
    let (house, owner, idp, provider) = stage().await;
    let mut browser = Browser::default();
    let way_back = browser.sent(&house, &idp, provider, "/").await;
    let mut other = Browser::default();
    let refused = other.get(&house, &way_back).await;
    assert_refused(&house, &owner, &refused, "sign_in.other_browser").await;
    let refused = browser.get(&house, &way_back).await;
    assert_refused(&house, &owner, &refused, "sign_in.replayed").await;

    let way_back = browser.sent(&house, &idp, provider, "/").await;
    assert_eq!(browser.get(&house, &way_back).await.status, StatusCode::SEE_OTHER);
    browser.cookies.retain(|(name, _)| name != "updraft_session");
    let refused = browser.get(&house, &way_back).await;
    assert_refused(&house, &owner, &refused, "").await;

    for made_up in [
        "?code=a&state=unknown",
        "?code=a",
        "",
        "?error=access_denied&state=x",
        "?code=a&code=b&state=c",
    ] {
        let path = format!("/sign-in/oidc/{provider}/callback{made_up}");
        let refused = browser.get(&house, &path).await;
        assert_refused(&house, &owner, &refused, "").await;
    }
    let reasons = log(&house, &owner).await;
    for reason in ["sign_in.unknown_state", "oidc.callback_malformed"] {
        assert!(reasons.iter().any(|told| told == reason), "{reason}: {reasons:?}");
    }
    let someone = ProviderId(uuid::Uuid::from_u128(5));
    let way_back = browser
        .sent(&house, &idp, provider, "/")
        .await
        .replace(&provider.to_string(), &someone.to_string());
    let refused = browser.get(&house, &way_back).await;
    assert_refused(&house, &owner, &refused, "").await;
}

#[tokio::test]
async fn another_tenants_provider_does_not_finish_what_this_one_began() {
    let (house, _, idp, provider) = stage().await;
    let (quota, password) = (
        updraft_app::Quota {
            max_clusters: 1,
            max_nodes: 1,
        },
        super::PASSWORD.to_owned().into(),
    );
    house
        .app
        .install_tenant("Away", quota, "eve@away.example", "Eve", &password)
        .await
        .unwrap();
    let eve = house.actor("eve@away.example").await;
    let theirs = connected(&house, &eve, &idp).await;
    let mut browser = Browser::default();
    let way_back = browser
        .sent(&house, &idp, provider, "/")
        .await
        .replace(&provider.to_string(), &theirs.to_string());
    let refused = browser.get(&house, &way_back).await;
    assert_refused(&house, &eve, &refused, "sign_in.wrong_provider").await;
    assert!(browser.token().is_none());
}

#[tokio::test]
async fn a_provider_that_is_switched_off_signs_nobody_in_and_ends_whom_it_signed_in() {
    let (house, owner, idp, provider) = stage().await;
    let mut signed_in = Browser::default();
    signed_in.signs_in(&house, &idp, provider).await;
    let mut browser = Browser::default();
    let way_back = browser.sent(&house, &idp, provider, "/").await;
    house
        .app
        .disable_identity_provider(&owner, provider)
        .await
        .unwrap();
    let refused = browser.get(&house, &way_back).await;
    assert_refused(&house, &owner, &refused, "sign_in.provider_disabled").await;
    let refused = browser.get(&house, &format!("/sign-in/through/{provider}")).await;
    assert_refused(&house, &owner, &refused, "").await;
    assert!(house.app.authenticate(signed_in.token().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_member_who_was_switched_off_stays_out() {
    let (house, owner, idp, provider) = stage().await;
    let mut browser = Browser::default();
    browser.signs_in(&house, &idp, provider).await;
    let me = browser.me(&house).await;
    let mut tx = house.store().begin().await.unwrap();
    memberships::disable(&mut tx, owner.tenant, me.user, chrono::Utc::now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut again = Browser::default();
    let refused = again.signs_in(&house, &idp, provider).await;
    assert_refused(&house, &owner, &refused, "sign_in.member_disabled").await;
}

#[tokio::test]
async fn a_way_back_never_leads_to_another_site() {
    let (house, _, idp, provider) = stage().await;
    for evil in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ] {
        let mut browser = Browser::default();
        let way_back = browser.sent(&house, &idp, provider, evil).await;
        let done = browser.get(&house, &way_back).await;
        assert_eq!(done.location.as_deref(), Some("/clusters"), "{evil}");
    }
}

#[tokio::test]
async fn a_session_that_somebody_planted_is_not_the_one_that_is_signed_in() {
    let (house, _, idp, provider) = stage().await;
    let planted = house.token("bo@example.com").await;
    let mut browser = Browser::default();
    browser.cookies.push(("updraft_session".into(), planted.clone()));
    browser.signs_in(&house, &idp, provider).await;
    assert_ne!(browser.token(), Some(planted.as_str()));
    let bo = house.app.authenticate(&planted).await.unwrap();
    assert_ne!(bo.user, browser.me(&house).await.user);
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_in_words_with_a_way_on() {
    let (house, owner, idp, provider) = stage().await;
    let mut browser = Browser::default();
    let way_back = browser.sent(&house, &idp, provider, "/clusters/7").await;
    idp.is_down(true);
    let away = browser.get(&house, &way_back).await;
    assert_eq!(away.status, StatusCode::FAILED_DEPENDENCY);
    assert_accessible(&away.html);
    let again = format!("/sign-in/through/{provider}?return_to=%2Fclusters%2F7");
    let reference = away.request_id.clone().unwrap();
    for part in ["does not answer", "Try again", again.as_str(), reference.as_str()] {
        assert!(away.html.contains(part), "{part}: {}", away.html);
    }
    assert!(
        log(&house, &owner)
            .await
            .iter()
            .any(|reason| reason.starts_with("oidc."))
    );
}

#[tokio::test]
async fn whoever_begins_one_sign_in_after_the_other_is_told_to_wait() {
    let (house, _, idp, provider) = stage().await;
    let path = format!("/sign-in/through/{provider}?return_to=%2Fclusters%2F7");
    let mut begun = 0;
    let answer = loop {
        let answer = house.send(Request::get(&path).body(Body::empty()).unwrap()).await;
        if answer.status() != StatusCode::SEE_OTHER {
            break answer;
        }
        begun += 1;
        assert!(begun < 1_000, "nobody is told to wait");
    };
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(begun >= 100, "only after {begun}");
    assert!(answer.headers().contains_key(RETRY_AFTER));
    let refused = answered(answer).await;
    assert_accessible(&refused.html);
    let again = format!("/sign-in/through/{provider}?return_to=%2Fclusters%2F7");
    for part in ["Too many", "Wait", again.as_str()] {
        assert!(refused.html.contains(part), "{part}: {}", refused.html);
    }
    assert_eq!(idp.times_discovered(), 2, "its test, and one for all who came");
}

#[tokio::test]
async fn what_changes_there_is_learned_and_who_is_gone_there_is_signed_out() {
    let (house, owner, idp, provider) = stage().await;
    idp.person("1", json!({"groups": ["data"]}));
    let mut browser = Browser::default();
    browser.signs_in(&house, &idp, provider).await;
    let person = browser.me(&house).await.user;
    assert_eq!(groups(&house, owner.tenant, person).await, ["data"]);
    idp.person("1", json!({"groups": ["platform"]}));
    assert_eq!(house.app.refresh_identities().await.unwrap(), 1);
    assert_eq!(groups(&house, owner.tenant, person).await, ["platform"]);

    idp.is_down(true);
    house.app.refresh_identities().await.unwrap();
    assert!(
        house.app.authenticate(browser.token().unwrap()).await.is_ok(),
        "no answer says nothing of her"
    );
    idp.is_down(false);
    idp.vouches_for_nobody();
    house.app.refresh_identities().await.unwrap();
    assert!(house.app.authenticate(browser.token().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_logout_there_ends_it_here_and_a_forged_one_nothing() {
    let (house, _, idp, provider) = stage().await;
    let other = Idp::start().await;
    idp.person("1", json!({"sid": "there-1"}));
    let mut browser = Browser::default();
    browser.signs_in(&house, &idp, provider).await;
    let post = |token: String| {
        let path = format!("/sign-in/oidc/{provider}/logout");
        let request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        house.send(request.body(Body::from(format!("logout_token={token}"))).unwrap())
    };
    let forged = other.logout_token("1", None);
    for bad in ["".to_owned(), "x.y.z".to_owned(), forged] {
        assert_eq!(post(bad).await.status(), StatusCode::BAD_REQUEST);
        assert!(house.app.authenticate(browser.token().unwrap()).await.is_ok());
    }
    let done = post(idp.logout_token("1", Some("another-session"))).await;
    assert_eq!(done.status(), StatusCode::OK);
    assert!(
        house.app.authenticate(browser.token().unwrap()).await.is_ok(),
        "another sign-in of hers"
    );
    assert_eq!(
        post(idp.logout_token("1", Some("there-1"))).await.status(),
        StatusCode::OK
    );
    assert!(house.app.authenticate(browser.token().unwrap()).await.is_err());
}

#[tokio::test]
async fn signing_out_everywhere_goes_on_to_the_provider() {
    let (house, _, idp, provider) = stage().await;
    let (mut here, mut there) = (Browser::default(), Browser::default());
    here.signs_in(&house, &idp, provider).await;
    there.signs_in(&house, &idp, provider).await;
    let out = house.post(here.token(), "/sign-out", "everywhere=yes").await;
    assert_eq!(out.status, StatusCode::OK);
    assert_accessible(&out.html);
    assert!(
        out.html.contains(&format!("url={}/logout?", idp.url)),
        "{}",
        out.html
    );
    for browser in [here, there] {
        assert!(house.app.authenticate(browser.token().unwrap()).await.is_err());
    }
}

#[tokio::test]
async fn an_address_leads_to_its_provider_once_the_domain_is_proven_and_tells_nothing_else() {
    let (house, owner, idp, provider) = stage().await;
    let house = &house;
    let ask = |email: &str| {
        let form = format!("email={email}&return_to=%2Fclusters%2F3");
        async move { house.post(None, "/sign-in", &form).await }
    };
    let mut tx = house.store().begin().await.unwrap();
    domains::insert(&mut tx, owner.tenant, "acme.example", "c", Some(provider))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let unproven = ask("chi%40acme.example").await;
    assert!(unproven.html.contains(r#"type="password""#), "{}", unproven.html);
    let mut tx = house.store().begin().await.unwrap();
    let now = chrono::Utc::now();
    domains::set_verified(&mut tx, owner.tenant, "acme.example", Some(now))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let sent = ask("chi%40ACME.example").await;
    assert_accessible(&sent.html);
    assert!(
        sent.html.contains(&format!("url={}/authorize?", idp.url)),
        "{}",
        sent.html
    );
    assert!(sent.cookies[0].contains("HttpOnly") && sent.cookies[0].contains("SameSite=Lax"));

    let plain = |answer: Answered, email: &str| {
        let nonce = answer
            .policy
            .split("'nonce-")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap()
            .to_owned();
        (answer.status, answer.html.replace(email, "").replace(&nonce, ""))
    };
    let known = plain(ask("ada%40example.com").await, "ada@example.com");
    let unknown = plain(ask("nobody%40example.com").await, "nobody@example.com");
    assert_eq!(known, unknown, "nobody learns whether there is such an account");
}

#[tokio::test]
async fn an_organisations_page_offers_its_ways_and_a_made_up_one_is_the_common_page() {
    let (house, ..) = stage().await;
    let page = house
        .get(None, "/sign-in/Example?return_to=%2Fclusters%2F3")
        .await;
    assert_accessible(&page.html);
    assert!(page.html.contains("Sign in with Acme") && page.html.contains("return_to=%2Fclusters%2F3"));
    let made_up = house.get(None, "/sign-in/Nobody").await;
    assert_eq!(
        made_up.location.as_deref(),
        Some("/sign-in?return_to=%2Fclusters")
    );
}

#[tokio::test]
async fn a_test_sign_in_shows_what_came_and_signs_nobody_in() {
    let (house, owner, idp, provider) = stage().await;
    idp.person("1", ada_of_acme());
    let token = house.token("ada@example.com").await;
    let mut browser = Browser::default();
    browser.cookies.push(("updraft_session".into(), token.clone()));
    let sent = browser
        .get(&house, &format!("/sso/providers/{provider}/test-sign-in"))
        .await;
    let way_back = format!(
        "/sign-in/oidc/{provider}/callback?{}",
        idp.visited(&sent.location.unwrap())
    );
    let done = browser.get(&house, &way_back).await;
    assert_eq!(
        done.location.as_deref(),
        Some(format!("/sso/providers/{provider}#test").as_str())
    );
    assert_eq!(browser.token(), Some(token.as_str()), "still the owner");
    let page = browser.get(&house, &format!("/sso/providers/{provider}")).await;
    assert_accessible(&page.html);
    assert!(
        page.html.contains("data") && page.html.contains("groups"),
        "{}",
        page.html
    );
    let people = house
        .app
        .list_people(&owner, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(people.items.len(), 2, "Ada and Bo: nobody was made");
}
