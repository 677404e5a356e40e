//! Somebody whom no owner may help: what an operator does for them, and what each of their tenants hears of it.

use serde_json::{Value, json};
use updraft_model::{AuditActorKind, AuditOutcome, TenantId, TenantRole};
use updraft_store::audit_log::{self, Entry, Filter};
use updraft_store::operators;

use crate::support::{Answer, PASSWORD, Someone, World, request};

const NEW: &str = "a quite new passphrase";

/// An operator at home, and somebody who belongs to two other tenants.
struct Installation {
    world: World,
    home: TenantId,
    operator: Someone,
    tenants: [TenantId; 2],
    both: Someone,
}

impl Installation {
    async fn new() -> Self {
        let world = World::new().await;
        let home = world.tenant("home").await;
        let operator = world.owner(home).await;
        let mut tx = world.tx().await;
        operators::ensure_one(&mut tx, home).await.unwrap();
        tx.commit().await.unwrap();
        let tenants = [world.tenant("acme").await, world.tenant("globex").await];
        let both = world.someone(tenants[0], TenantRole::Member).await;
        world.member(tenants[1], &both, TenantRole::Owner).await;
        Self {
            world,
            home,
            operator,
            tenants,
            both,
        }
    }

    async fn help(&self, by: &Someone, with: &str, email: &str) -> Answer {
        let path = format!("/accounts/{with}");
        self.world.post(by, &path, json!({"email": email})).await
    }

    async fn lines(&self, tenant: Option<TenantId>) -> Vec<Entry> {
        let mut tx = self.world.tx().await;
        let lines = audit_log::list_before(&mut tx, tenant, &Filter::default(), None, 100)
            .await
            .unwrap();
        lines.into_iter().map(|line| line.entry).collect()
    }

    /// What stands under the tenant's activity.
    async fn events(&self, tenant: TenantId) -> String {
        let mut tx = self.world.tx().await;
        sqlx::query_scalar("select coalesce(string_agg(message, ' '), '') from events where tenant_id = $1")
            .bind(tenant.0)
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    }

    async fn signs_in(&self, password: &str) -> Answer {
        let body = json!({"email": self.both.email, "password": password});
        self.world.send(request("POST", "/sessions").json(&body)).await
    }

    async fn set_password(&self, made: &Value) -> Answer {
        let link = made["link"].as_str().unwrap().rsplit_once('=').unwrap().1;
        let body = json!({"link": link, "password": NEW});
        self.world.send(request("POST", "/password").json(&body)).await
    }
}

#[tokio::test]
async fn an_operator_helps_somebody_whom_several_tenants_trust() {
    let all = Installation::new().await;
    let email = &all.both.email;
    let made = all
        .help(
            &all.operator,
            "password-link",
            &format!(" {} ", email.to_uppercase()),
        )
        .await
        .must_be(201);
    all.signs_in(PASSWORD).await.must_be(201);
    all.set_password(&made).await.must_be(204);
    assert_eq!(all.signs_in(PASSWORD).await.problem(401), "wrong-credentials");
    all.signs_in(NEW).await.must_be(201);
    assert_eq!(all.set_password(&made).await.status, 403, "good once");
    for tenant in all.tenants {
        let lines = all.lines(Some(tenant)).await;
        let reset = lines.iter().find(|line| line.action == "password.reset").unwrap();
        assert_eq!(reset.actor_id, Some(all.both.user.0), "in both");
    }
}

#[tokio::test]
async fn an_operator_takes_away_a_lost_second_factor() {
    let all = Installation::new().await;
    all.world
        .execute(&format!(
            "update users set totp_ciphertext = '\\x00', totp_confirmed_at = now() where id = '{}'",
            all.both.user
        ))
        .await;
    assert!(!all.signs_in(PASSWORD).await.status.is_success());
    all.help(&all.operator, "remove-second-factor", &all.both.email)
        .await
        .must_be(204);
    all.signs_in(PASSWORD).await.must_be(201);
}

#[tokio::test]
async fn each_tenant_hears_of_it_and_none_of_another() {
    let all = Installation::new().await;
    for (with, action) in [
        ("password-link", "password_link.create"),
        ("remove-second-factor", "second_factor.remove"),
    ] {
        let answer = all.help(&all.operator, with, &all.both.email).await;
        assert!(answer.status.is_success());
        for (tenant, other) in [(0, 1), (1, 0)] {
            let line = all.lines(Some(all.tenants[tenant])).await.remove(0);
            assert_eq!((line.action.as_str(), line.outcome), (action, AuditOutcome::Done));
            assert_eq!((line.actor_kind, line.actor_id), (AuditActorKind::Operator, None));
            assert_eq!(line.target_name.as_ref(), Some(&all.both.email));
            assert_eq!(
                (line.address, &line.request_id, &line.credential),
                (None, &None, &None)
            );
            let events = all.events(all.tenants[tenant]).await;
            assert!(events.contains(&all.both.email), "{events}");
            let text = format!("{line:?}{events}");
            for trace in [
                all.operator.email.clone(),
                all.operator.user.to_string(),
                all.home.to_string(),
                all.tenants[other].to_string(),
            ] {
                assert!(!text.contains(&trace), "{trace}: {text}");
            }
        }
        let told = all.lines(None).await.remove(0);
        assert_eq!(
            (told.action.as_str(), told.actor_id),
            (action, Some(all.operator.user.0)),
            "the installation's own log names the operator"
        );
        assert!(all.lines(Some(all.home)).await.is_empty());
    }
}

#[tokio::test]
async fn nobody_else_helps_and_no_operator_takes_over_another() {
    let all = Installation::new().await;
    let owner = all.world.owner(all.tenants[0]).await;
    let directory = format!("{}@directory.example", uuid::Uuid::new_v4());
    all.world
        .execute(&format!(
            "insert into users (id, email, name, origin) values (gen_random_uuid(), '{directory}', 'D', 'directory')"
        ))
        .await;
    for with in ["password-link", "remove-second-factor"] {
        let refused = all.help(&owner, with, &all.both.email).await;
        assert_eq!(refused.problem(403), "operators-only");
        let token = all
            .world
            .api_token(&all.operator, updraft_model::TokenLimit::Full)
            .await;
        let refused = all.help(&token, with, &all.both.email).await;
        assert_eq!(refused.problem(403), "needs-session");
        for nobody in ["nobody@example.com", &directory] {
            let refused = all.help(&all.operator, with, nobody).await;
            assert_eq!(refused.problem(404), "account-not-found");
        }
        let refused = all.help(&all.operator, with, &all.operator.email).await;
        assert_eq!(refused.problem(409), "operators-account");
        let refused = all.help(&all.operator, with, "no address").await;
        assert_eq!(refused.refused_field(422), "email");
    }
}

#[tokio::test]
async fn a_link_is_worth_nothing_once_its_operator_is_none() {
    let all = Installation::new().await;
    let made = all
        .help(&all.operator, "password-link", &all.both.email)
        .await
        .must_be(201);
    let another = all.world.owner(all.home).await;
    let mut tx = all.world.tx().await;
    operators::set(&mut tx, &another.email, true).await.unwrap();
    operators::set(&mut tx, &all.operator.email, false).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(all.set_password(&made).await.status, 403);

    let newer = all
        .help(&another, "password-link", &all.both.email)
        .await
        .must_be(201);
    let newest = all
        .help(&another, "password-link", &all.both.email)
        .await
        .must_be(201);
    assert_eq!(all.set_password(&newer).await.status, 403, "a newer one was made");
    all.set_password(&newest).await.must_be(204);
}
