//! A client that sends exactly what it is told to.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

// === impl Call ===

impl Call {
    /// A browser's request for a page; `host` is also where it is sent.
    pub(crate) fn get(host: &str, path: &str) -> Self {
        Self {
            address: host.parse().unwrap(),
            method: "GET".into(),
            path: path.into(),
            headers: vec![
                ("host".into(), host.into()),
                ("accept".into(), "text/html".into()),
            ],
        }
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Replaces a header, or adds it.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self.also(name, value)
    }

    /// Adds a header beside one of the same name.
    pub(crate) fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self
    }

    /// As a browser that holds this session at the edge.
    pub(crate) fn signed_in(self, token: &str) -> Self {
        self.with("cookie", &format!("updraft_edge={token}"))
    }

    pub(crate) async fn send(self) -> Answer {
        Answer::read(self.stream().await).await
    }

    /// The answer with its body still to be read.
    pub(crate) async fn stream(self) -> Response<Incoming> {
        Connection::open(self.address).await.stream(self).await
    }

    /// Opens an event stream; its head comes with its first event or before.
    pub(crate) async fn stream_after(self, upstream: &super::Upstream) -> Events {
        let asked = upstream.requests();
        let response = self.stream().await;
        assert_eq!(upstream.requests(), asked + 1);
        Events(response)
    }

    /// Sends, and does not mind the connection breaking.
    pub(crate) async fn send_quietly(self) {
        let _ = tokio::spawn(self.send()).await;
    }

    /// Begins an upload, reads the answer's first piece, and leaves the body unfinished.
    pub(crate) async fn half_an_upload(host: &str, path: &str, token: &str) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 100000\r\n\r\nsome"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap();
        (String::from_utf8_lossy(&answer[..read]).into_owned(), stream)
    }

    /// Sends bytes as they are and returns all that comes back until the end of the connection.
    pub(crate) async fn raw(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A connection that is kept open from request to request.
pub(crate) struct Connection(http1::SendRequest<Full<Bytes>>);

// === impl Connection ===

impl Connection {
    pub(crate) async fn to(host: &str) -> Self {
        Self::open(host.parse().unwrap()).await
    }

    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self(sender)
    }

    pub(crate) async fn send(&mut self, call: Call) -> Answer {
        self.0.ready().await.unwrap();
        Answer::read(self.stream(call).await).await
    }

    async fn stream(&mut self, call: Call) -> Response<Incoming> {
        let mut request = Request::builder().method(call.method.as_str()).uri(call.path);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::default()).unwrap();
        self.0.send_request(request).await.unwrap()
    }
}

/// An open stream of events.
pub(crate) struct Events(Response<Incoming>);

impl Events {
    /// The next piece as it comes off the wire; `None` when the stream broke or ended.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let frame = self.0.body_mut().frame().await?.ok()?;
        Some(String::from_utf8(frame.into_data().ok()?.to_vec()).unwrap())
    }
}

// === impl Answer ===

impl Answer {
    async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        Self {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// The value of a cookie that was set.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.headers.get_all("set-cookie").iter().find_map(|v| {
            let pair = v.to_str().ok()?.split(';').next()?;
            pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
        })
    }

    /// Everything a stranger could tell two answers apart by.
    pub(crate) fn appearance(&self) -> String {
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        let id = self.header("x-request-id").unwrap_or("-");
        format!(
            "{}\n{}\n{}",
            self.status,
            headers.join("\n"),
            self.text().replace(id, "<id>")
        )
    }
}
