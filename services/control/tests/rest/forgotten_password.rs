//! A forgotten password, by mail over real SMTP: who gets a link, who does not, and that nobody can tell the difference.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::ConnectInfo;
use serde_json::{Value, json};
use sqlx::Row as _;
use updraft_app::SignInQuota;
use updraft_control::mail::{Post, Smtp};
use updraft_model::{AuditOutcome, TenantId, TenantRole};
use updraft_store::audit_log::{self, Entry, Filter};

use crate::smtp_sink::{Mail, Mood, SmtpSink};
use crate::support::{Answer, PASSWORD, Someone, World, request};

const NEW: &str = "seven quiet mountains";
const FROM: &str = "Updraft <updraft@example.com>";

/// An Updraft whose mail goes to a sink.
struct House {
    world: World,
    sink: SmtpSink,
    post: Post<Smtp>,
    tenant: TenantId,
}

async fn house() -> House {
    house_of(World::new().await).await
}

async fn house_of(world: World) -> House {
    let sink = SmtpSink::start().await;
    let post = Post::new(
        world.app.clone(),
        smtp(&format!("smtp://127.0.0.1:{}", sink.port)),
    );
    let tenant = world.tenant("acme").await;
    House {
        world,
        sink,
        post,
        tenant,
    }
}

fn smtp(url: &str) -> Smtp {
    Smtp::new(&url.parse().unwrap(), None, FROM.parse().unwrap(), "localhost").unwrap()
}

impl House {
    async fn member(&self) -> Someone {
        self.world.someone(self.tenant, TenantRole::Member).await
    }

    async fn forget(&self, email: &str) -> Answer {
        let body = json!({"email": email});
        self.world
            .send(request("POST", "/password/forgotten").json(&body))
            .await
    }

    /// The mail that goes out to somebody who asks.
    async fn mail_to(&self, person: &Someone) -> Mail {
        let before = self.sink.mails().len();
        self.forget(&person.email).await.must_be(202);
        assert_eq!(self.post.round().await.unwrap(), 1);
        self.sink.mails().remove(before)
    }

    async fn set(&self, code: &str, password: &str) -> Answer {
        let body = json!({"link": code, "password": password});
        self.world.send(request("POST", "/password").json(&body)).await
    }

    async fn sign_in(&self, person: &Someone, password: &str) -> Answer {
        let body = json!({"email": person.email, "password": password});
        self.world.send(request("POST", "/sessions").json(&body)).await
    }

    async fn sql(&self, statement: &'static str) {
        let mut tx = self.world.tx().await;
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn count(&self, table: &'static str) -> i64 {
        let mut tx = self.world.tx().await;
        let counted = match table {
            "links" => sqlx::query_scalar("select count(*) from password_links"),
            _ => sqlx::query_scalar("select count(*) from mail_outbox"),
        };
        counted.fetch_one(&mut *tx).await.unwrap()
    }

    async fn lines(&self, tenant: Option<TenantId>, action: &str) -> Vec<Entry> {
        let mut tx = self.world.tx().await;
        let filter = Filter {
            action: Some(action.to_owned()),
            ..Filter::default()
        };
        let lines = audit_log::list_before(&mut tx, tenant, &filter, None, 1_000)
            .await
            .unwrap();
        lines.into_iter().map(|line| line.entry).collect()
    }

    async fn mail_health(&self) -> Value {
        let health = self.world.send(request("GET", "/health").empty()).await;
        health.must_be(200)["mail"].clone()
    }
}

#[tokio::test]
async fn a_mailed_link_sets_a_password_once_ends_all_sessions_and_is_audited() {
    let house = house().await;
    let person = house.member().await;
    let mut asked = request("POST", "/password/forgotten")
        .header("user-agent", "curl/8")
        .json(&json!({"email": format!(" {} ", person.email.to_uppercase())}));
    let peer = SocketAddr::from(([192, 0, 2, 7], 4000));
    asked.extensions_mut().insert(ConnectInfo(peer));
    let answer = house.world.send(asked).await;
    answer.must_be(202);
    assert_eq!(house.post.round().await.unwrap(), 1);
    let mail = house.sink.mails().remove(0);
    assert_eq!(mail.from.split(['<', '>']).nth(1), Some("updraft@example.com"));
    assert_eq!(mail.to, [format!("RCPT TO:<{}>", person.email)]);
    assert_eq!(mail.header("To"), Some(person.email.as_str()));
    assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
    assert_eq!(mail.header("Subject"), Some("Set a new password for Updraft"));
    let text = mail.readable();
    assert!(
        text.contains("text/plain") && text.contains("text/html"),
        "{text}"
    );
    let links = text.matches("http").count();
    assert_eq!(
        links,
        text.matches("http://localhost:7700/password?link=").count(),
        "{text}"
    );
    assert!(!text.contains("<img") && !text.contains("src="), "{text}");

    let code = mail.code();
    assert_eq!(house.set(&code, "short").await.refused_field(422), "password");
    house.set(&code, NEW).await.must_be(204);
    house.world.get(&person, "/me").await.problem(401);
    house.sign_in(&person, PASSWORD).await.problem(401);
    house.sign_in(&person, NEW).await.must_be(201);
    let again = house.set(&code, "another quiet mountain").await;
    assert_eq!(again.problem(403), "password-link-refused");

    let line = house
        .lines(Some(house.tenant), "password_link.request")
        .await
        .remove(0);
    assert_eq!(line.outcome, AuditOutcome::Done);
    assert_eq!(
        (line.actor_id, &line.actor_name),
        (None, &person.email),
        "nothing was proven"
    );
    assert_eq!(line.address, Some([192, 0, 2, 7].into()));
    assert_eq!(line.user_agent.as_deref(), Some("curl/8"));
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert_eq!(line.request_id.as_deref(), Some(id));
    assert_eq!(line.target, Some(format!("person:{}", person.user)));
    let reset = house.lines(Some(house.tenant), "password.reset").await;
    let outcomes: Vec<_> = reset.iter().map(|line| line.outcome).collect();
    assert!(outcomes.contains(&AuditOutcome::Done), "{reset:?}");
    let log = format!("{reset:?} {line:?}");
    assert!(!log.contains(&code) && !log.contains(NEW), "{log}");
}

#[tokio::test]
async fn every_address_gets_the_same_answer_and_only_a_password_account_a_mail() {
    let house = house().await;
    let sso_only = house.world.tenant("sso").await;
    let (known, directory) = (house.member().await, house.member().await);
    let (disabled, elsewhere) = (
        house.member().await,
        house.world.someone(sso_only, TenantRole::Member).await,
    );
    let mut tx = house.world.tx().await;
    for (statement, id) in [
        (
            "update users set origin = 'directory', password_hash = null where id = $1",
            directory.user.0,
        ),
        (
            "update memberships set disabled_at = now() where user_id = $1",
            disabled.user.0,
        ),
        (
            "update tenants set password_sign_in = false where id = $1",
            sso_only.0,
        ),
    ] {
        sqlx::query(statement).bind(id).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let addresses = [
        &known.email,
        &directory.email,
        &disabled.email,
        &elsewhere.email,
        "nobody@example.com",
    ];
    for (asked, email) in (1..).zip(addresses) {
        let answer = house.forget(email).await;
        answer.must_be(202);
        assert_eq!(answer.text, "", "{email}");
        let names: Vec<_> = answer
            .headers
            .keys()
            .filter(|name| *name != "x-request-id")
            .collect();
        let reference = house.forget("reference@example.com").await;
        let expected: Vec<_> = reference
            .headers
            .keys()
            .filter(|name| *name != "x-request-id")
            .collect();
        assert_eq!(names, expected, "{email}");
        // Whoever it is: one row, and nothing is looked up or made before the answer.
        assert_eq!(
            (house.count("mails").await, house.count("links").await),
            (2 * asked, 0)
        );
    }
    assert_eq!(house.post.round().await.unwrap(), 1);
    let mails = house.sink.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].header("To"), Some(known.email.as_str()));
    assert_eq!(house.count("mails").await, 1, "no address of a stranger is kept");
    let of_nobody = house.lines(None, "password_link.request").await;
    assert!(
        of_nobody
            .iter()
            .all(|line| line.reason.as_deref() == Some("no-password")),
        "{of_nobody:?}"
    );
}

#[tokio::test]
async fn a_link_that_does_not_hold_any_more_is_refused_and_recorded() {
    let changes: [(&str, &str); 6] = [
        ("expired", "update password_links set expires_at = now()"),
        ("used", "update password_links set used_at = now()"),
        ("switched off", "update memberships set disabled_at = now()"),
        ("passwords off", "update tenants set password_sign_in = false"),
        ("from a directory", "update users set origin = 'directory'"),
        ("removed", "delete from memberships"),
    ];
    for (why, statement) in changes {
        let house = house().await;
        let person = house.member().await;
        let code = house.mail_to(&person).await.code();
        house.sql(statement).await;
        let refused = house.set(&code, NEW).await;
        assert_eq!(refused.problem(403), "password-link-refused", "{why}");
        let lines = house.lines(None, "password.reset").await;
        let reasons: Vec<_> = lines.iter().filter_map(|line| line.reason.as_deref()).collect();
        assert_eq!(reasons, ["password-link-refused"], "{why}");
    }
}

#[tokio::test]
async fn a_password_that_was_changed_meanwhile_makes_links_worthless_and_waiting_mail_unsent() {
    let house = house().await;
    let person = house.member().await;
    let early = house.mail_to(&person).await.code();
    house.sink.be(Mood::Busy);
    house.forget(&person.email).await.must_be(202);
    assert_eq!(house.post.round().await.unwrap(), 0);
    let change = json!({"current": PASSWORD, "new": NEW});
    let changed = request("PUT", "/me/password").bearer(&person).json(&change);
    house.world.send(changed).await.must_be(204);
    assert_eq!(
        house.set(&early, PASSWORD).await.problem(403),
        "password-link-refused"
    );
    house.sink.be(Mood::Takes);
    house.sql("update mail_outbox set due_at = now()").await;
    assert_eq!(house.post.round().await.unwrap(), 0);
    assert_eq!(house.sink.mails().len(), 1);
}

#[tokio::test]
async fn garbage_and_another_persons_link_open_nothing() {
    let house = house().await;
    let (person, other) = (house.member().await, house.member().await);
    let code = house.mail_to(&person).await.code();
    let halved = &code[..code.len() / 2];
    let swapped: String = code.chars().rev().collect();
    for bad in ["", "x", halved, &swapped, &format!("{code}x"), "\u{0}"] {
        assert_eq!(
            house.set(bad, NEW).await.problem(403),
            "password-link-refused",
            "{bad:?}"
        );
    }
    house.set(&code, NEW).await.must_be(204);
    house.sign_in(&other, NEW).await.problem(401);
    house.sign_in(&other, PASSWORD).await.must_be(201);
}

#[tokio::test]
async fn an_account_that_two_tenants_trust_is_reset_by_mail_and_by_no_owner() {
    let house = house().await;
    let there = house.world.tenant("there").await;
    let (owner, stranger) = (
        house.world.owner(house.tenant).await,
        house.world.owner(there).await,
    );
    let person = house.member().await;
    house.world.member(there, &person, TenantRole::Member).await;
    let path = format!("/people/{}/password-link", person.user);
    assert_eq!(
        house.world.post(&owner, &path, Value::Null).await.problem(409),
        "account-not-yours-alone"
    );
    let code = house.mail_to(&person).await.code();
    house.set(&code, NEW).await.must_be(204);
    house.sign_in(&person, NEW).await.must_be(201);
    let told = async |action: &str| {
        let log = house
            .world
            .get(&stranger, &format!("/audit?action={action}"))
            .await;
        log.must_be(200)["items"].as_array().unwrap().len()
    };
    assert_eq!(
        told("password_link.request").await,
        0,
        "whoever asked proved nothing: told where the person signs in"
    );
    assert_eq!(
        told("password.reset").await,
        1,
        "each tenant that trusts the account"
    );
}

#[tokio::test]
async fn the_second_factor_stays_in_force() {
    let house = house().await;
    let person = house.member().await;
    let mut tx = house.world.tx().await;
    let key = &house.world.app.config().master_key;
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned().into();
    updraft_store::second_factors::begin(&mut tx, key, person.user, &secret)
        .await
        .unwrap();
    updraft_store::second_factors::confirm(&mut tx, person.user, 1, &[], chrono::Utc::now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let code = house.mail_to(&person).await.code();
    house.set(&code, NEW).await.must_be(204);
    assert_eq!(house.sign_in(&person, NEW).await.problem(401), "code-needed");
}

#[tokio::test]
async fn the_link_is_to_the_console_whatever_host_was_named() {
    let house = house().await;
    let person = house.member().await;
    let body = json!({"email": person.email});
    let mut forged = request("POST", "/password/forgotten").json(&body);
    let host = axum::http::HeaderValue::from_static("evil.example");
    forged.headers_mut().insert("host", host);
    let refused = house.world.send(forged).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    let spoofed = request("POST", "/password/forgotten")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example")
        .json(&body);
    house.world.send(spoofed).await.must_be(202);
    assert_eq!(house.post.round().await.unwrap(), 1);
    let text = house.sink.mails().remove(0).readable();
    assert!(text.contains("http://localhost:7700/password?link=") && !text.contains("evil"));
}

#[tokio::test]
async fn what_is_no_address_is_refused_and_begins_no_header() {
    let house = house().await;
    for bad in [
        "",
        "ada",
        "a@b@c",
        "ada@example.com\r\nBcc: bob@example.com",
        "ada@example.com\nBcc: bob@example.com",
        "ada@example.com, bob@example.com",
        "Ada <ada@example.com>",
        &format!("{}@example.com", "a".repeat(250)),
    ] {
        let refused = house.forget(bad).await;
        assert_eq!(refused.refused_field(422), "email", "{bad:?}");
    }
    assert_eq!(house.count("mails").await, 0);
}

#[tokio::test]
async fn a_stored_address_that_is_none_is_given_up_and_sends_nothing() {
    let house = house().await;
    let person = house.member().await;
    house.forget(&person.email).await.must_be(202);
    assert_eq!(house.world.app.answer_forgotten().await.unwrap(), 1);
    house
        .sql("update mail_outbox set recipient = e'a@example.com\\r\\nBcc: b@example.com'")
        .await;
    assert_eq!(house.post.round().await.unwrap(), 0);
    assert!(house.sink.heard().is_empty());
    let failed = house.lines(Some(house.tenant), "mail.send").await;
    assert_eq!(failed[0].outcome, AuditOutcome::Failed);
}

#[tokio::test]
async fn a_flood_is_limited_by_address_by_client_and_by_mailbox() {
    let quota = |account, address| SignInQuota {
        account_burst: NonZeroU32::new(account).unwrap(),
        account_refill: Duration::from_secs(3600),
        address_burst: NonZeroU32::new(address).unwrap(),
        address_refill: Duration::from_secs(3600),
    };
    let limited = |quota| {
        World::with_config(move |config| {
            config.sends_mail = true;
            config.forgotten_quota = quota;
        })
    };
    let by_address = house_of(limited(quota(2, 100)).await).await;
    for email in ["ada@example.com", "nobody@example.com"] {
        by_address.forget(email).await.must_be(202);
        by_address.forget(&email.to_uppercase()).await.must_be(202);
        let refused = by_address.forget(email).await;
        assert_eq!(refused.problem(429), "too-many-tries");
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((3000..=3601).contains(&wait), "{wait}");
    }
    let by_client = house_of(limited(quota(100, 2)).await).await;
    by_client.forget("a@example.com").await.must_be(202);
    by_client.forget("b@example.com").await.must_be(202);
    by_client.forget("c@example.com").await.problem(429);

    // From many places and over many processes, which count apart: the mailbox is not filled.
    let house = house().await;
    let person = house.member().await;
    for _ in 0..10 {
        house.forget(&person.email).await.must_be(202);
    }
    assert_eq!(house.post.round().await.unwrap(), 3);
    let lines = house.lines(Some(house.tenant), "password_link.request").await;
    let refused = lines
        .iter()
        .filter(|line| line.reason.as_deref() == Some("too-many-mails"));
    assert_eq!(refused.count(), 5, "further ones are counted in one line");
    // None of them made another worthless: no flood keeps somebody out.
    house.set(&house.sink.mails()[0].code(), NEW).await.must_be(204);
    assert_eq!(
        house
            .set(&house.sink.mails()[2].code(), PASSWORD)
            .await
            .problem(403),
        "password-link-refused",
        "one was used"
    );
}

#[tokio::test]
async fn a_link_lies_encrypted_until_it_is_sent_and_then_not_at_all() {
    let house = house().await;
    let person = house.member().await;
    house.sink.be(Mood::Busy);
    house.forget(&person.email).await.must_be(202);
    house.post.round().await.unwrap();
    house.sink.be(Mood::Takes);
    let at_rest = async || {
        let mut tx = house.world.tx().await;
        let row = sqlx::query("select m::text as row, link_ciphertext from mail_outbox m")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        let (text, sealed): (String, Option<Vec<u8>>) = (row.get("row"), row.get("link_ciphertext"));
        (text, sealed)
    };
    let (waiting, sealed) = at_rest().await;
    house.sql("update mail_outbox set due_at = now()").await;
    assert_eq!(house.post.round().await.unwrap(), 1);
    let code = house.sink.mails()[0].code();
    assert!(!waiting.contains(&code) && !waiting.contains("link="));
    assert!(sealed.is_some_and(|sealed| !String::from_utf8_lossy(&sealed).contains(&code)));
    assert_eq!(at_rest().await.1, None);
}

#[tokio::test]
async fn mail_outlives_a_control_that_died_while_sending_it() {
    let house = house().await;
    let person = house.member().await;
    house.forget(&person.email).await.must_be(202);
    house.world.app.answer_forgotten().await.unwrap();
    // Taken by a process that says no more.
    let taken = house.world.app.next_letter().await.unwrap().unwrap();
    assert_eq!(
        house.post.round().await.unwrap(),
        0,
        "it is another's for a while"
    );
    house.sql("update mail_outbox set due_at = now()").await;
    house.sink.be(Mood::DiesAfterwards);
    assert_eq!(
        house.post.round().await.unwrap(),
        0,
        "nobody knows whether it was taken"
    );
    house.sink.be(Mood::Takes);
    house.sql("update mail_outbox set due_at = now()").await;
    assert_eq!(house.post.round().await.unwrap(), 1);
    let mails = house.sink.mails();
    assert_eq!(mails.len(), 2);
    let ids: Vec<_> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
    let id = format!("<{}@example.com>", taken.id);
    assert_eq!(ids, [Some(id.as_str()); 2], "mail programs show one");
    assert_eq!(mails[0].code(), mails[1].code());
    house.set(&mails[0].code(), NEW).await.must_be(204);
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_told_and_stops_nothing() {
    let house = house().await;
    let person = house.member().await;
    assert_eq!(house.mail_health().await, "ok");
    let nowhere = Post::new(house.world.app.clone(), smtp("smtp://127.0.0.1:1"));
    house.forget(&person.email).await.must_be(202);
    assert_eq!(nowhere.round().await.unwrap(), 0);
    assert_eq!(house.mail_health().await, "failing");
    house.sign_in(&person, PASSWORD).await.must_be(201);
    assert_eq!(house.post.round().await.unwrap(), 0, "not at once again");
    house.sql("update mail_outbox set due_at = now()").await;
    assert_eq!(house.post.round().await.unwrap(), 1);
    assert_eq!(house.mail_health().await, "ok");
}

#[tokio::test]
async fn what_cannot_be_delivered_is_given_up_and_recorded() {
    let house = house().await;
    let person = house.member().await;
    house.sink.be(Mood::RefusesRecipients);
    house.forget(&person.email).await.must_be(202);
    house.post.round().await.unwrap();
    house.sink.be(Mood::Busy);
    house.forget(&person.email).await.must_be(202);
    house.post.round().await.unwrap();
    house
        .sql("update mail_outbox set due_at = now(), expires_at = now() where done_at is null")
        .await;
    house.post.round().await.unwrap();
    house.sink.be(Mood::Takes);
    house.sql("update mail_outbox set due_at = now()").await;
    assert_eq!(house.post.round().await.unwrap(), 0, "given up for good");
    let failed = house.lines(Some(house.tenant), "mail.send").await;
    let reasons: Vec<_> = failed.iter().filter_map(|line| line.reason.as_deref()).collect();
    assert_eq!(reasons, ["expired", "refused-by-mail-server"]);
    assert_eq!(failed[0].target_name.as_deref(), Some(person.email.as_str()));
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_to_a_server_elsewhere() {
    let house = house().await;
    let person = house.member().await;
    // Another machine's address, as far as its looks go; the sink offers no STARTTLS.
    let elsewhere = Post::new(
        house.world.app.clone(),
        smtp(&format!("smtp://0.0.0.0:{}", house.sink.port)),
    );
    house.forget(&person.email).await.must_be(202);
    assert_eq!(elsewhere.round().await.unwrap(), 0);
    let heard = house.sink.heard();
    assert!(
        heard
            .iter()
            .all(|line| line.starts_with("EHLO") || line.starts_with("QUIT")),
        "{heard:?}"
    );
    assert_eq!(house.mail_health().await, "failing");
}

#[tokio::test]
async fn without_a_mail_server_nothing_is_promised() {
    let world = World::with_config(|config| config.sends_mail = false).await;
    let body = json!({"email": "ada@example.com"});
    let refused = world
        .send(request("POST", "/password/forgotten").json(&body))
        .await;
    assert_eq!(refused.problem(409), "no-mail");
    let health = world.send(request("GET", "/health").empty()).await.must_be(200);
    assert_eq!(health["mail"], "off");
}
