//! Every row of `updraft_hostile`, asked of the protocol alone: what each is refused with, and that the same sign-in passes
//! undisturbed. `services/hostile/tests` asks the same rows of the whole application.

use std::collections::HashSet;

use updraft_hostile::oidc::{Provider, Row, SECRET, now, outbound, redirect_uri, suites};
use updraft_sso::oidc::{Callback, Oidc};
use updraft_sso::{Refusal, VouchedIdentity};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_cheat_or_to_fail_is_refused() {
    for (_, rows) in suites() {
        for row in rows {
            assert_refused(&row).await;
        }
    }
}

#[test]
fn there_are_enough_rows_and_each_has_a_name_of_its_own() {
    let rows = suites().map(|(_, rows)| rows).concat();
    let names: HashSet<_> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len());
    assert!(names.len() >= 100, "{}", names.len());
}

async fn assert_refused(row: &Row) {
    let name = row.name;
    let (answer, other) = sign_in(row).await;
    let refusal = answer.expect_err(name);
    assert_eq!(refusal.code, row.refused, "{name}: {refusal}");
    assert!(!refusal.text.contains("HOSTILE"), "{name} is repeated: {refusal}");
    assert!(!refusal.text.contains("  "), "{name}: {refusal}");
    let asked = other.times_asked("/keys");
    assert_eq!(asked, 0, "{name}: keys were fetched from where the token said");
}

/// First the control: the same sign-in with nothing changed passes. Then the row's.
async fn sign_in(row: &Row) -> (Result<VouchedIdentity, Refusal>, Provider) {
    let other = Provider::start("").await;
    let provider = Provider::start(&other.url).await;
    let control = attempt(&row.undisturbed(), &provider, &other).await;
    assert_eq!(control.expect("the control passes").subject, "ada");
    provider.behaves(|conduct| row.behave(conduct));
    (attempt(row, &provider, &other).await, other)
}

async fn attempt(row: &Row, provider: &Provider, other: &Provider) -> Result<VouchedIdentity, Refusal> {
    let oidc = Oidc::new(outbound(&[&provider.url, &other.url]));
    let secret = SECRET.into();
    let mut config = provider.config();
    (row.config)(&mut config);
    let mut begun = oidc.begin(&config, &redirect_uri(), None, now()).await?;
    // At worst the other provider has seen all that the browser showed.
    other.visited(&begun.url);
    let mut query = provider.visited(&begun.url);
    (row.browser)(&mut query);
    (row.attempt)(&mut begun.attempt);
    let query = serde_urlencoded::to_string(query).unwrap();
    let callback = Callback::parse(&query)?;
    oidc.finish(&config, Some(&secret), &begun.attempt, &callback, now())
        .await
}
