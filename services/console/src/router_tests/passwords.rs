//! Passwords and codes on their pages: links that owners hand over, the second step, and when it is too much.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, ORIGIN, RETRY_AFTER};
use axum::http::{Request, StatusCode};
use secrecy::ExposeSecret as _;
use totp_rs::{Algorithm, Secret, TOTP};

use super::{Answered, HERE, House, answered, house, house_with};
use crate::fixtures::assert_accessible;

/// What lies between two marks of a page.
fn between<'a>(html: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = html
        .split_once(begin)
        .unwrap_or_else(|| panic!("no {begin}: {html}"));
    rest.split(end).next().unwrap()
}

async fn post_with(house: &House, cookies: &str, path: &str, form: &str) -> Answered {
    let request = Request::post(path)
        .header(COOKIE, cookies)
        .header(ORIGIN, HERE)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    answered(
        house
            .send(request.body(Body::from(form.to_owned())).unwrap())
            .await,
    )
    .await
}

fn code(secret: &str, ahead: i64) -> String {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = TOTP::new(Algorithm::SHA1, 6, 1, 30, bytes, None, String::new()).unwrap();
    let step = chrono::Utc::now().timestamp() / 30 + ahead;
    totp.generate(u64::try_from(step * 30).unwrap())
}

#[tokio::test]
async fn an_owner_hands_a_link_over_and_it_sets_a_password_once() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let bo = house.actor("bo@example.com").await.user;
    let page = house.get(Some(&ada), &format!("/people/{bo}/sign-in")).await;
    assert_accessible(&page.html);
    let made = house
        .post(Some(&ada), &format!("/people/{bo}/password-link"), "")
        .await;
    assert_accessible(&made.html);
    let link = between(&made.html, "/password?link=", "<").to_owned();

    let opened = house.get(None, &format!("/password?link={link}")).await;
    assert_accessible(&opened.html);
    assert!(opened.html.contains("bo@example.com"), "{}", opened.html);
    let set = async |password: &str| {
        let form = format!("link={link}&password={password}");
        house.post(None, "/password", &form).await
    };
    let weak = set("password1234").await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_accessible(&weak.html);
    assert_eq!(set("seven+quiet+mountains").await.status, StatusCode::OK);
    let again = set("seven+quiet+mountains").await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    assert_accessible(&again.html);
    assert!(!again.html.contains("bo@example.com"));
    let form = "email=bo%40example.com&password=seven+quiet+mountains";
    let done = house.post(None, "/sign-in", form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
}

/// With the address taken out, which the page repeats as it was typed.
async fn answer_for(house: &House, email: &str) -> (StatusCode, String) {
    let form = format!("email={}", email.replace('@', "%40"));
    let answered = house.post(None, "/password/forgotten", &form).await;
    assert_accessible(&answered.html);
    let nonce = between(&answered.html, "nonce=\"", "\"").to_owned();
    let html = answered.html.replace(email, "…").replace(&nonce, "…");
    (answered.status, html)
}

#[tokio::test]
async fn a_forgotten_password_is_asked_for_alike_by_everybody() {
    let house = house_with(|config| config.sends_mail = true).await;
    let sign_in = house.post(None, "/sign-in", "email=bo%40example.com").await;
    assert!(sign_in.html.contains(r#"href="/password/forgotten""#));
    let form = house.get(None, "/password/forgotten").await;
    assert_accessible(&form.html);
    assert!(form.html.contains(r#"name="email""#));
    let (status, known) = answer_for(&house, "bo@example.com").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((status, known), answer_for(&house, "nobody@example.com").await);
    let bad = house.post(None, "/password/forgotten", "email=bo").await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_accessible(&bad.html);
    let foreign = house
        .post_from(
            Some("http://evil.example"),
            None,
            "/password/forgotten",
            "email=bo%40example.com",
        )
        .await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);

    assert_eq!(house.app.answer_forgotten().await.unwrap(), 2);
    let letter = house.app.next_letter().await.unwrap().unwrap();
    assert_eq!(letter.to, "bo@example.com");
    let link = letter.link.expose_secret().strip_prefix(HERE).unwrap();
    let opened = house.get(None, link).await;
    assert_accessible(&opened.html);
    assert!(opened.html.contains("bo@example.com"), "{}", opened.html);
    assert!(house.app.next_letter().await.unwrap().is_none());
}

#[tokio::test]
async fn without_a_mail_server_the_page_says_whom_to_ask() {
    let house = house().await;
    let page = house.get(None, "/password/forgotten").await;
    assert_accessible(&page.html);
    assert!(page.html.contains("Ask an owner") && !page.html.contains("<input"));
    let posted = house
        .post(None, "/password/forgotten", "email=bo%40example.com")
        .await;
    assert_eq!(posted.status, StatusCode::CONFLICT);
    assert_accessible(&posted.html);
}

#[tokio::test]
async fn somebody_added_without_a_password_gets_a_link() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let form = "name=Chi&email=chi%40example.com&tenant_role=member&password=";
    let added = house.post(Some(&ada), "/people", form).await;
    assert_eq!(added.status, StatusCode::OK);
    assert_accessible(&added.html);
    let link = between(&added.html, "/password?link=", "<").to_owned();
    let opened = house.get(None, &format!("/password?link={link}")).await;
    assert!(opened.html.contains("chi@example.com"), "{}", opened.html);
}

#[tokio::test]
async fn the_second_step_takes_the_code_in_the_browser_of_the_first() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let path = "/account/second-factor";
    assert_accessible(&house.get(Some(&ada), path).await.html);
    house.post(Some(&ada), path, "").await;
    let shown = house.get(Some(&ada), path).await.html;
    assert_accessible(&shown);
    assert!(shown.contains("<svg"), "{shown}");
    let secret = between(&shown, "<dd><code>", "<").to_owned();
    let confirm = format!("{path}/confirm");
    let wrong = house.post(Some(&ada), &confirm, "code=nothing").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let form = format!("code={}", code(&secret, 0));
    let made = house.post(Some(&ada), &confirm, &form).await;
    assert_accessible(&made.html);
    assert_eq!(made.html.matches("<li><code>").count(), 10, "{}", made.html);

    let form = "email=ada%40example.com&password=correct+horse+battery&return_to=%2Fpeople";
    let asked = house.post(None, "/sign-in", form).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert_accessible(&asked.html);
    assert!(
        asked
            .cookies
            .iter()
            .all(|cookie| !cookie.starts_with("updraft_session="))
    );
    let browser = asked.cookies[0].split(';').next().unwrap().to_owned();
    let proof = between(&asked.html, r#"name="proof" value=""#, "\"").to_owned();
    let step = async |cookies: &str, proof: &str, code: &str| {
        let form = format!("proof={proof}&code={code}&return_to=%2Fpeople");
        post_with(&house, cookies, "/sign-in/code", &form).await
    };
    let good = code(&secret, 1);
    let other = format!("updraft_sign_in={}", "a".repeat(43));
    let tampered = proof.replacen('.', ".9", 1);
    for (why, cookies, proof, code) in [
        ("another browser", other.as_str(), proof.as_str(), good.as_str()),
        ("no browser", "theme=dark", &proof, &good),
        ("a longer time", &browser, &tampered, &good),
        ("no first step", &browser, "", &good),
        ("a wrong code", &browser, &proof, "000000"),
    ] {
        let refused = step(cookies, proof, code).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{why}");
        assert_accessible(&refused.html);
        assert!(refused.cookies.is_empty(), "{why}");
    }
    let done = step(&browser, &proof, &good).await;
    assert_eq!(done.location.as_deref(), Some("/people"), "{}", done.html);
    let replayed = step(&browser, &proof, &good).await;
    assert_eq!(replayed.status, StatusCode::UNAUTHORIZED, "the code was used");
}

#[tokio::test]
async fn a_page_that_says_wait_says_how_long() {
    let house = house().await;
    let form = "email=ada%40example.com&password=not+the+password";
    let mut last = None;
    for _ in 0..11 {
        let request = Request::post("/sign-in")
            .header(ORIGIN, HERE)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        last = Some(house.send(request.body(Body::from(form)).unwrap()).await);
    }
    let refused = last.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=11).contains(&seconds), "{seconds}");
}
