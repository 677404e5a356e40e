//! The way out, over real sockets and with names of our own.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use updraft_hostile::outbound::{redirects, rows};
use url::Url;

use super::Outbound;
use crate::connect::trusting;
use crate::{OutboundError, OutboundLimits, OutboundPolicy, OutboundRequest, OutboundResponse, Resolve};

/// Answers a name's look-ups one after the other, and the last one again and again.
#[derive(Debug)]
struct Names(Mutex<VecDeque<Vec<IpAddr>>>);

impl Resolve for Names {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        let mut answers = self.0.lock().unwrap();
        let next = match answers.len() {
            0 => Err(io::Error::other("no such name")),
            1 => Ok(answers[0].clone()),
            _ => Ok(answers.pop_front().unwrap()),
        };
        Box::pin(async { next })
    }
}

fn names(answers: &[&[&str]]) -> Arc<Names> {
    let parse = |one: &&[&str]| one.iter().map(|address| address.parse().unwrap()).collect();
    Arc::new(Names(Mutex::new(answers.iter().map(parse).collect())))
}

fn policy(allow: &[&str]) -> OutboundPolicy {
    OutboundPolicy {
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        limits: OutboundLimits {
            time: Duration::from_millis(700),
            body: 10_000,
        },
    }
}

async fn get(outbound: &Outbound, url: &str) -> Result<OutboundResponse, OutboundError> {
    outbound
        .fetch(OutboundRequest::get(Url::parse(url).unwrap()))
        .await
}

/// Says this to whoever connects, then leaves the connection open if so wanted.
async fn server(says: impl Into<String>, stays: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, says) = (listener.local_addr().unwrap().port(), says.into());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, says.clone(), stays));
        }
    });
    port
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, says: String, stays: bool) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(says.as_bytes()).await;
    if stays {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test]
async fn an_opened_destination_answers() {
    let port = server(ok("hello"), false).await;
    let outbound = Outbound::new(policy(&[&format!("127.0.0.1:{port}")]));
    let answer = get(&outbound, &format!("http://127.0.0.1:{port}/a?b#c"))
        .await
        .unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"hello"[..]));
}

#[tokio::test]
async fn no_way_of_writing_it_leads_inside() {
    for row in rows() {
        let outbound = Outbound::with_resolver(policy(&[]), names(&[row.leads]));
        let Ok(url) = Url::parse(row.url) else {
            panic!("{}: {}", row.name, row.url);
        };
        let refused = outbound.fetch(OutboundRequest::get(url)).await.unwrap_err();
        let never = [OutboundError::Forbidden, OutboundError::Url, OutboundError::Port];
        assert!(never.contains(&refused), "{}: {refused:?}", row.name);
    }
}

#[tokio::test]
async fn an_unknown_name_is_unknown() {
    let outbound = Outbound::with_resolver(policy(&[]), names(&[]));
    let answer = get(&outbound, "https://idp.example.com/").await;
    assert_eq!(answer.unwrap_err(), OutboundError::UnknownHost);
}

/// The name is looked up once for each connection: what was judged is what is connected to.
#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_again() {
    let port = server(redirect("https://idp.example.com/again"), false).await;
    let resolver = names(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let opened = format!("start.corp.internal:{port}");
    let outbound = Outbound::with_resolver(policy(&[&opened]), resolver.clone());
    let answer = get(&outbound, &format!("http://{opened}/")).await;
    assert_eq!(answer.unwrap_err(), OutboundError::Forbidden);
    assert_eq!(
        resolver.0.lock().unwrap().len(),
        1,
        "one look-up for the first address, one for the redirect"
    );
}

/// Rebinding: the first look-up is public, every later one private. There is no later one.
#[tokio::test]
async fn what_was_judged_is_connected_to() {
    let inside = server(ok("inside"), false).await;
    // 192.0.2.0/24 leads nowhere; opened, so that it counts as any public address would.
    let resolver = names(&[&["192.0.2.1"], &["127.0.0.1"]]);
    let outbound = Outbound::with_resolver(policy(&[&format!("rebind.example:{inside}")]), resolver.clone());
    let answer = get(&outbound, &format!("http://rebind.example:{inside}/")).await;
    assert_ne!(
        answer.map(|answer| answer.body).ok().as_deref(),
        Some(&b"inside"[..])
    );
    assert_eq!(resolver.0.lock().unwrap().len(), 1, "looked up once");
}

#[tokio::test]
async fn redirects_are_judged_like_the_first_address() {
    for row in redirects() {
        let port = server(redirect(row.url), false).await;
        let outbound = Outbound::with_resolver(policy(&[&format!("127.0.0.1:{port}")]), names(&[row.leads]));
        let answer = get(&outbound, &format!("http://127.0.0.1:{port}/")).await;
        let never = [OutboundError::Forbidden, OutboundError::Url, OutboundError::Port];
        let refused = answer.unwrap_err();
        assert!(never.contains(&refused), "{}: {refused:?}", row.name);
    }
    let port = server(redirect("/again"), false).await;
    let outbound = Outbound::new(policy(&[&format!("127.0.0.1:{port}")]));
    let endless = get(&outbound, &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(endless.unwrap_err(), OutboundError::Redirect);
}

#[tokio::test]
async fn a_form_is_never_redirected() {
    let end = server(ok("here"), false).await;
    let port = server(redirect(&format!("http://127.0.0.1:{end}/")), false).await;
    let outbound = Outbound::new(policy(&["127.0.0.1"]));
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let get = outbound.fetch(OutboundRequest::get(url.clone())).await;
    assert_eq!(get.unwrap().url.port(), Some(end), "the control is redirected");
    let stays = outbound
        .fetch(OutboundRequest::get(url.clone()).without_redirects())
        .await;
    assert_eq!(stays.unwrap_err(), OutboundError::Redirect);
    let form = OutboundRequest::post_form(url, &[("client_secret", "s")]).unwrap();
    assert_eq!(outbound.fetch(form).await.unwrap_err(), OutboundError::Redirect);
}

#[tokio::test]
async fn answers_end_at_a_size_and_at_a_time() {
    let endless_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1_000_000));
    for (says, stays, refused) in [
        (ok(&"x".repeat(10_001)), false, OutboundError::TooLarge),
        (
            "HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"x".repeat(20_000),
            true,
            OutboundError::TooLarge,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\n".to_owned(),
            false,
            OutboundError::Broken,
        ),
        (endless_head, false, OutboundError::Broken),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned(),
            false,
            OutboundError::Broken,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned(),
            true,
            OutboundError::Slow,
        ),
        (String::new(), true, OutboundError::Slow),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), false, OutboundError::Broken),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n".to_owned(),
            false,
            OutboundError::Compressed,
        ),
    ] {
        let port = server(says.clone(), stays).await;
        let outbound = Outbound::new(policy(&[&format!("127.0.0.1:{port}")]));
        let answer = get(&outbound, &format!("http://127.0.0.1:{port}/")).await;
        assert_eq!(
            answer.err(),
            Some(refused),
            "{}",
            says.chars().take(60).collect::<String>()
        );
    }
}

#[tokio::test]
async fn nobody_there_is_nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let outbound = Outbound::new(policy(&[&address]));
    assert_eq!(
        get(&outbound, &format!("http://{address}/")).await.unwrap_err(),
        OutboundError::Unreachable
    );
}

/// A server with a certificate for this name, and trust in it.
async fn secure_server(name: &str) -> (u16, RootCertStore) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(serve(stream, ok("secure"), false));
            }
        }
    });
    (port, roots)
}

#[tokio::test]
async fn a_certificate_has_to_be_of_a_known_authority_and_for_the_name() {
    let (port, roots) = secure_server("idp.corp.internal").await;
    let outbound = |name: &str, trust: Option<RootCertStore>| Outbound {
        trust: trust.map(|roots| trusting(roots).unwrap()),
        ..Outbound::with_resolver(policy(&[&format!("{name}:{port}")]), names(&[&["127.0.0.1"]]))
    };
    let good = outbound("idp.corp.internal", Some(roots.clone()));
    let answer = get(&good, &format!("https://idp.corp.internal:{port}/")).await;
    assert_eq!(&answer.unwrap().body[..], b"secure");
    let other_name = outbound("idp.other.internal", Some(roots));
    let answer = get(&other_name, &format!("https://idp.other.internal:{port}/")).await;
    assert_eq!(answer.unwrap_err(), OutboundError::Tls);
    let unknown = outbound("idp.corp.internal", None);
    let answer = get(&unknown, &format!("https://idp.corp.internal:{port}/")).await;
    assert_eq!(answer.unwrap_err(), OutboundError::Tls);
}
