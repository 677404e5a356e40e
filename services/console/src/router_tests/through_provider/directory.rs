//! Whom a first sign-in is taken for, where the directory (SCIM) has told of people: by what nobody may choose.

use serde_json::{Value, json};
use updraft_model::{OidcPreset, ScimLink, UserId};
use updraft_store::scim_users::{self, ScimPerson};
use uuid::Uuid;

use super::{Browser, House, Idp, connected_as, house};

/// The directory has told of Grace.
async fn grace(house: &House, external_id: &str) -> UserId {
    let user = UserId(Uuid::now_v7());
    let tenant = house.actor("ada@example.com").await.tenant;
    let attributes = json!({});
    let person = ScimPerson {
        user_name: "grace@acme.example",
        external_id: Some(external_id),
        attributes: &attributes,
        email: "grace@acme.example",
        name: "Grace",
    };
    let mut tx = house.store().begin().await.unwrap();
    scim_users::insert_person(&mut tx, tenant, user, &person)
        .await
        .unwrap();
    scim_users::insert(&mut tx, tenant, user, &person).await.unwrap();
    tx.commit().await.unwrap();
    user
}

/// Who this is, signing in for the first time through a provider that is set up so.
async fn taken_for(house: &House, preset: OidcPreset, link: Option<ScimLink>, claims: Value) -> UserId {
    let idp = Idp::start().await;
    let owner = house.actor("ada@example.com").await;
    let provider = connected_as(house, &owner, &idp, preset, link).await;
    idp.person("00u1", claims);
    let mut browser = Browser::default();
    browser.signs_in(house, &idp, provider).await;
    let found = browser.me(house).await.user;
    house
        .app
        .delete_identity_provider(&owner, provider)
        .await
        .unwrap();
    found
}

#[tokio::test]
async fn whoever_takes_anothers_user_name_is_not_them() {
    let house = house().await;
    let grace = grace(&house, "another").await;
    let claims_to_be = || json!({"preferred_username": "Grace@acme.example", "email": "grace@acme.example"});
    for preset in [OidcPreset::Generic, OidcPreset::Keycloak, OidcPreset::Okta] {
        assert_ne!(
            taken_for(&house, preset, None, claims_to_be()).await,
            grace,
            "{preset:?}"
        );
    }
    let entra = json!({"preferred_username": "grace@acme.example", "oid": "mallorys"});
    assert_ne!(taken_for(&house, OidcPreset::Entra, None, entra).await, grace);
    let (generic, by_id) = (OidcPreset::Generic, Some(ScimLink::ExternalId));
    assert_ne!(taken_for(&house, generic, by_id, claims_to_be()).await, grace);

    let by_name = Some(ScimLink::UserName);
    assert_eq!(
        taken_for(&house, generic, by_name, claims_to_be()).await,
        grace,
        "where the tenant says that nobody may choose theirs"
    );
}

#[tokio::test]
async fn the_directorys_id_of_somebody_finds_them() {
    let house = house().await;
    let okta = grace(&house, "00u1").await;
    assert_eq!(taken_for(&house, OidcPreset::Okta, None, json!({})).await, okta);
    let by_id = Some(ScimLink::ExternalId);
    assert_eq!(
        taken_for(&house, OidcPreset::Keycloak, by_id, json!({})).await,
        okta
    );
    let nothing = Some(ScimLink::Nothing);
    assert_ne!(
        taken_for(&house, OidcPreset::Okta, nothing, json!({})).await,
        okta,
        "switched off"
    );
    // `sub` is another one in each of Entra's applications.
    assert_ne!(
        taken_for(&house, OidcPreset::Entra, None, json!({"oid": "other"})).await,
        okta
    );
}

#[tokio::test]
async fn entras_object_id_finds_somebody() {
    let house = house().await;
    let entra = grace(&house, "0b9c-object-id").await;
    let claims = json!({"oid": "0b9c-object-id", "preferred_username": "renamed@acme.example"});
    assert_eq!(
        taken_for(&house, OidcPreset::Entra, None, claims.clone()).await,
        entra
    );
    assert_ne!(
        taken_for(&house, OidcPreset::Okta, None, claims).await,
        entra,
        "nobody else's claim of that name counts"
    );
}
