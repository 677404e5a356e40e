use std::net::Ipv4Addr;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use updraft_api::agent::IndexLogin;
use updraft_outbound::OutboundPolicy;

use super::*;

const LOGIN: &str = "Basic cmVhZGVyOnNlY3JldA==";

/// Speaks as an index that lets `reader` with the password `secret` in, and sends away from `/moved`.
async fn index() -> (Url, Outbound) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
            let page = format!(
                "<a href=\"http://{at}/files/a.whl\">a</a><a href=\"https://else.example/b.whl\">b</a>"
            );
            let answer = if !asked.contains(LOGIN) {
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n".to_owned()
            } else if asked.starts_with("GET /moved") {
                "HTTP/1.1 302 Found\r\nlocation: https://else.example/signed\r\ncontent-length: 0\r\n"
                    .to_owned()
            } else if asked.starts_with("GET /simple/a/?x=1 ") {
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n",
                    page.len()
                )
            } else {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n".to_owned()
            };
            let body = if answer.contains("text/html") {
                page
            } else {
                String::new()
            };
            let whole = format!("{answer}connection: close\r\n\r\n{body}");
            stream.write_all(whole.as_bytes()).await.unwrap();
        }
    });
    let outbound = Outbound::new(OutboundPolicy {
        allow: vec![at.to_string().parse().unwrap()],
        ..OutboundPolicy::default()
    });
    (format!("http://{at}/simple/").parse().unwrap(), outbound)
}

async fn door(url: &Url, outbound: &Outbound, password: Option<&str>) -> IndexDoor {
    let index = IndexDelivery {
        url: url.to_string(),
        login: password.map(|password| IndexLogin {
            username: "reader".to_owned(),
            password: SecretString::from(password),
        }),
    };
    IndexDoor::open(Ipv4Addr::LOCALHOST.into(), outbound, &index)
        .await
        .unwrap()
}

fn solver() -> reqwest::Client {
    let following = reqwest::redirect::Policy::none();
    reqwest::Client::builder().redirect(following).build().unwrap()
}

#[tokio::test]
async fn the_login_is_added_and_links_to_itself_lead_through_the_door() {
    let (url, outbound) = index().await;
    let door = door(&url, &outbound, Some("secret")).await;
    assert!(!door.url.contains("secret"));
    let page = solver().get(format!("{}a/?x=1", door.url)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(
        page.contains(&format!("{}/files/a.whl", door.hidden[1])),
        "{page}"
    );
    assert!(page.contains("https://else.example/b.whl"), "{page}");
    let moved = Url::parse(&door.url).unwrap().join("/moved").unwrap();
    let moved = solver().get(moved).send().await.unwrap();
    assert_eq!(moved.headers()["location"], "https://else.example/signed");
    assert!(!door.was_trouble());
}

#[tokio::test]
async fn strangers_and_writers_are_sent_away() {
    let (url, outbound) = index().await;
    let door = door(&url, &outbound, Some("secret")).await;
    let bare = door.hidden[1].clone();
    assert_eq!(
        solver()
            .get(format!("{bare}/simple/a/?x=1"))
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    assert_eq!(solver().post(&door.url).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn what_the_index_refuses_is_said_in_words_and_without_the_doors_address() {
    let (url, outbound) = index().await;
    for (password, words) in [
        (Some("outdated"), "refuses the credential"),
        (None, "name a credential"),
    ] {
        let door = door(&url, &outbound, password).await;
        assert_eq!(solver().get(&door.url).send().await.unwrap().status(), 403);
        let said = door.explained(&format!("cannot fetch {}/simple/a/", door.hidden[0]));
        assert!(
            said.contains(words) && said.ends_with(&format!("{url}a/")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_index_where_nobody_may_go_is_not_asked() {
    let (url, _) = index().await;
    let closed = Outbound::new(OutboundPolicy::default());
    let index = IndexDelivery {
        url: url.to_string(),
        login: None,
    };
    assert!(
        IndexDoor::open(Ipv4Addr::LOCALHOST.into(), &closed, &index)
            .await
            .is_err()
    );
}
