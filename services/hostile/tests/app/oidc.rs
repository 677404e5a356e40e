//! The rows of OpenID Connect. Of each row's tenant a provider is set up and a person signs in through it; then it, or
//! somebody on the way, does what the row says.

use std::collections::HashMap;

use futures::FutureExt as _;
use serde_json::{Value, json};
use updraft_hostile::oidc::{Provider, Row, SECRET, suites};
use updraft_model::{AuditActorKind, OidcConfig, ProviderConfig, ProviderId};
use updraft_sso::oidc::Attempt;
use updraft_sso::sha256;
use updraft_store::identity_providers;
use updraft_store::sign_in_attempts::{self, NewAttempt};
use url::Url;

use crate::browser::Browser;
use crate::house::{Answer, House, Someone, rest};
use crate::log::Told;
use crate::play::play_all;

/// A row, and who acts it out.
struct Act {
    row: Row,
    provider: Provider,
    other: Provider,
}

pub(crate) fn rows() -> Vec<Row> {
    suites().map(|(_, rows)| rows).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_refused_and_told() {
    let mut acts = Vec::new();
    for row in rows() {
        let other = Provider::start("").await;
        let provider = Provider::start(&other.url).await;
        acts.push(Act { row, provider, other });
    }
    let urls: Vec<_> = acts
        .iter()
        .flat_map(|act| [act.provider.url.clone(), act.other.url.clone()])
        .collect();
    let house = House::open_to(&urls).await;
    play_all(acts.iter().map(|act| act.play(&house).boxed())).await;
}

// === impl Act ===

impl Act {
    async fn play(&self, house: &House) {
        let (row, owner) = (&self.row, house.owner().await);
        let id = connected(house, &owner, self.provider.config()).await;
        let mut browser = Browser::of(&house.first, house.somewhere());
        let done = self.signs_in(house, &row.undisturbed(), id, &mut browser).await;
        house
            .assert_done(row.name, &done, owner.tenant, Some("sign_in.oidc"))
            .await;
        assert!(browser.session().is_some(), "{}", row.name);

        self.provider.behaves(|conduct| row.behave(conduct));
        self.configured(house, &owner, id).await;
        let mut browser = Browser::of(&house.second, house.somewhere());
        let refused = self.signs_in(house, row, id, &mut browser).await;
        let told = Told {
            tenant: Some(owner.tenant),
            action: match refused.begun {
                true => "sign_in.oidc",
                false => "sign_in.begin",
            },
            reason: row.reason(),
            kind: AuditActorKind::Provider,
            actor: Some(id.0),
            from: browser.from,
        };
        house
            .assert_refused(row.name, &refused, owner.tenant, &told)
            .await;
        assert!(
            !refused.text.contains("HOSTILE"),
            "{}: {}",
            row.name,
            refused.text
        );
        let asked = self.other.times_asked("/keys");
        assert_eq!(
            asked, 0,
            "{}: keys were fetched from where the token said",
            row.name
        );
    }

    /// To the provider and back, as the row has it.
    async fn signs_in(&self, house: &House, row: &Row, id: ProviderId, browser: &mut Browser<'_>) -> Came {
        let sent = browser.begins(id).await;
        let Ok(to) = Url::parse(sent.location()) else {
            return Came {
                answer: sent,
                begun: false,
            };
        };
        // At worst the other provider has seen all that the browser showed.
        self.other.visited(&to);
        let mut query = self.provider.visited(&to);
        remembered(house, &query["state"], row.attempt).await;
        (row.browser)(&mut query);
        let back = format!("/sign-in/oidc/{id}/callback?{}", written(&query));
        Came {
            answer: browser.get(&back).await,
            begun: true,
        }
    }

    /// Some rows are about what the tenant has set up; it need not be what could be set up today.
    async fn configured(&self, house: &House, owner: &Someone, id: ProviderId) {
        let mut config = self.provider.config();
        (self.row.config)(&mut config);
        if config == self.provider.config() {
            return;
        }
        let (key, config) = (
            house.first.app.config().master_key.clone(),
            ProviderConfig::Oidc(config),
        );
        let mut tx = house.tx().await;
        identity_providers::configure(&mut tx, &key, owner.tenant, id, &config, None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

/// What came of it, and whether the provider was reached.
struct Came {
    answer: Answer,
    begun: bool,
}

impl std::ops::Deref for Came {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

/// A provider that the owner made, tested and enabled.
pub(crate) async fn connected(house: &House, owner: &Someone, config: OidcConfig) -> ProviderId {
    let new = json!({"name": "Acme", "secret": SECRET, "config": ProviderConfig::Oidc(config)});
    enabled(house, owner, &new).await
}

pub(crate) async fn enabled(house: &House, owner: &Someone, new: &Value) -> ProviderId {
    let ask = |request| house.first.ask(house.somewhere(), request);
    let request = rest("POST", "/identity-providers").bearer(&owner.token).json(new);
    let made = ask(request).await.must_be(201);
    let id: ProviderId = made["id"].as_str().unwrap().parse().unwrap();
    let request = |verb: &str| {
        let path = format!("/identity-providers/{id}/{verb}");
        rest("POST", &path).bearer(&owner.token).empty()
    };
    let tested = ask(request("test")).await.must_be(200);
    assert_eq!(tested["last_test"]["passed"], true, "{tested}");
    ask(request("enable")).await.must_be(200);
    id
}

fn written(query: &HashMap<String, String>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish()
}

/// Changes what is remembered of a sign-in under way, where it is kept.
async fn remembered(house: &House, state: &str, change: fn(&mut Attempt)) {
    let (hash, key) = (
        sha256(state.as_bytes()),
        house.first.app.config().master_key.clone(),
    );
    let mut tx = house.tx().await;
    let now = updraft_hostile::oidc::now();
    let taken = sign_in_attempts::take(&mut tx, &key, &hash, now)
        .await
        .unwrap()
        .unwrap();
    let (tenant, provider) = (taken.tenant, taken.provider);
    sign_in_attempts::forget_older(&mut tx, tenant, provider, 0)
        .await
        .unwrap();
    let memory = NewAttempt {
        state_hash: hash,
        tenant,
        provider,
        binding_hash: taken.binding_hash.try_into().unwrap(),
        memory: &changed(&taken.memory, change),
        return_to: &taken.return_to,
        is_test: taken.is_test,
        expires_at: now + chrono::TimeDelta::minutes(10),
    };
    sign_in_attempts::insert(&mut tx, &key, &memory).await.unwrap();
    tx.commit().await.unwrap();
}

fn changed(memory: &secrecy::SecretString, change: fn(&mut Attempt)) -> secrecy::SecretString {
    use secrecy::ExposeSecret as _;
    let mut kept: Value = serde_json::from_str(memory.expose_secret()).unwrap();
    let mut attempt: Attempt = serde_json::from_value(kept.clone()).unwrap();
    change(&mut attempt);
    let Value::Object(fields) = serde_json::to_value(attempt).unwrap() else {
        panic!("an attempt is an object");
    };
    for (name, value) in fields {
        kept[name] = value;
    }
    kept.to_string().into()
}
