//! The rows of SAML, with one provider that says of Ada, for each sign-in, what a real one said of her when it was recorded.

use chrono::Utc;
use futures::FutureExt as _;
use serde_json::json;
use updraft_hostile::saml::{Anew, Genuine, RECORDED, Row, encode, request_id, suites};
use updraft_model::{AuditActorKind, ProviderId};
use url::Url;

use crate::browser::Browser;
use crate::house::{Answer, HERE, House, Someone, request};
use crate::log::Told;
use crate::oidc::enabled;
use crate::play::play_all;

/// A tenant whose people sign in through a SAML provider.
pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) owner: Someone,
    pub(crate) provider: ProviderId,
    /// Ours, in PEM.
    certificate: String,
}

/// A sign-in that went to the provider.
pub(crate) struct Begun {
    pub(crate) genuine: Genuine,
    pub(crate) state: String,
}

pub(crate) fn rows() -> Vec<Row> {
    suites().map(|(_, rows)| rows).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_refused_and_told() {
    let stage = Stage::set().await;
    let rows = rows();
    play_all(rows.iter().map(|row| stage.play(row).boxed())).await;
}

// === impl Stage ===

impl Stage {
    pub(crate) async fn set() -> Self {
        let house = House::open_to(&[]).await;
        let owner = house.owner().await;
        let new = json!({"name": "Acme", "metadata": RECORDED.idp_metadata});
        let provider = enabled(&house, &owner, &new).await;
        let ours = request("GET", &format!("/sign-in/saml/{provider}/metadata")).empty();
        let ours = house.first.ask(house.somewhere(), ours).await;
        Self {
            house,
            owner,
            provider,
            certificate: certificate(&ours.text),
        }
    }

    async fn play(&self, row: &Row) {
        let mut browser = Browser::of(&self.house.first, self.house.somewhere());
        let begun = self.begun(&mut browser).await;
        let done = self
            .posts(
                &mut browser,
                &encode(&begun.genuine.said("signed_assertion")),
                &begun.state,
            )
            .await;
        self.house
            .assert_done(row.name, &done, self.owner.tenant, Some("sign_in.saml"))
            .await;
        assert!(browser.session().is_some(), "{}", row.name);

        let mut browser = Browser::of(&self.house.second, self.house.somewhere());
        let begun = self.begun(&mut browser).await;
        let refused = self
            .posts(&mut browser, &row.form(&begun.genuine), &begun.state)
            .await;
        self.assert_refused(row.name, row.refused, "sign_in.saml", &refused, &browser)
            .await;
        assert!(!refused.text.contains("evil"), "{}: {}", row.name, refused.text);
    }

    pub(crate) async fn assert_refused(
        &self,
        name: &str,
        reason: &str,
        action: &str,
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

    /// The browser was sent to the provider; what that has to say.
    pub(crate) async fn begun(&self, browser: &mut Browser<'_>) -> Begun {
        let sent = browser.begins(self.provider).await;
        let to = Url::parse(sent.location()).unwrap_or_else(|_| panic!("{}", sent.text));
        let state = to.query_pairs().find(|(name, _)| name == "RelayState").unwrap().1;
        Begun {
            genuine: self.genuine(request_id(&to)),
            state: state.into_owned(),
        }
    }

    /// What the provider says in answer to this request.
    pub(crate) fn genuine(&self, request: String) -> Genuine {
        let at = |what: &str| format!("{HERE}/sign-in/saml/{}/{what}", self.provider);
        Genuine::anew(Anew {
            sp: at("metadata"),
            acs: at("acs"),
            slo: at("logout"),
            request,
            certificate: self.certificate.clone(),
            now: Utc::now(),
        })
    }

    /// As the page of ours posts it on.
    pub(crate) async fn posts(&self, browser: &mut Browser<'_>, response: &str, state: &str) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("SAMLResponse", response)
            .append_pair("RelayState", state)
            .append_pair("reposted", "yes")
            .finish();
        let path = format!("/sign-in/saml/{}/acs", self.provider);
        browser.post(&path, form).await
    }
}

fn certificate(metadata: &str) -> String {
    let (_, rest) = metadata.split_once("X509Certificate>").unwrap();
    let (base64, _) = rest.split_once('<').unwrap();
    let base64: String = base64.split_ascii_whitespace().collect();
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
