//! A second implementation, by others and in another language: what the certified provider allows is no accident.

use serde_json::json;
use updraft_sso::CheckOutcome;
use updraft_sso::oidc::Refreshed;

use crate::real::{Browser, Real, SECRET};

#[tokio::test]
async fn a_person_signs_in_and_changes_of_groups_are_noticed() {
    let mut provider = Real::canaille().await;
    let identity = provider.sign_in().await.unwrap();
    assert_eq!(
        (identity.subject.as_str(), identity.name.as_deref()),
        ("ada", Some("Ada Lovelace"))
    );
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
    assert_eq!(identity.groups, ["data-platform", "everyone"]);

    provider.changes(|state| state["users"]["ada"]["groups"] = json!(["everyone"]));
    let Refreshed::Vouched(again) = provider.refresh(&identity.refresh_token.unwrap()).await.unwrap() else {
        panic!("ada is still there");
    };
    assert_eq!(again.groups, ["everyone"]);
}

#[tokio::test]
async fn a_code_is_good_once() {
    let provider = Real::canaille().await;
    let (attempt, callback) = provider.visit(&mut Browser::new()).await;
    assert!(provider.finish(&attempt, &callback).await.is_ok(), "the control");
    let refused = provider.finish(&attempt, &callback).await.unwrap_err();
    assert_eq!(refused.code, "oidc.code_refused");
}

#[tokio::test]
async fn the_connections_test_is_content_and_finds_a_wrong_secret() {
    let provider = Real::canaille().await;
    for (secret, expected) in [(SECRET, vec![]), ("another", vec!["client"])] {
        let checks = provider.test(secret).await;
        let bad = checks.iter().filter(|check| check.outcome == CheckOutcome::Bad);
        assert_eq!(
            bad.map(|check| check.name).collect::<Vec<_>>(),
            expected,
            "{checks:?}"
        );
    }
}
