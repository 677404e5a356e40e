//! What a provider may say instead of what it should.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

#[derive(Clone, Debug)]
pub enum Reply {
    Says(u16, String),
    Redirects(String),
    Never,
    Trickles,
    Endless,
    BreaksOff,
    Compressed,
}

// === impl Reply ===

impl Reply {
    pub fn html() -> Self {
        Self::Says(
            200,
            "<html><body>Sign in to the network first</body></html>".to_owned(),
        )
    }

    pub(super) fn into_response(self) -> Response {
        let stream = |chunks| Body::from_stream(chunks).into_response();
        match self {
            Self::Says(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
            Self::Redirects(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Self::Never => stream(Box::pin(futures::stream::pending::<Result<Bytes, Infallible>>())),
            Self::Trickles => {
                let every = tokio::time::interval(Duration::from_millis(20));
                let ticks = futures::stream::unfold(every, |mut every| async {
                    every.tick().await;
                    Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), every))
                });
                Body::from_stream(ticks).into_response()
            }
            Self::Endless => {
                let chunk = Bytes::from(vec![b' '; 64 * 1024]);
                Body::from_stream(futures::stream::repeat(Ok::<_, Infallible>(chunk))).into_response()
            }
            Self::BreaksOff => {
                let chunks = [
                    Ok(Bytes::from_static(b"{\"issuer\":")),
                    Err(std::io::Error::other("gone")),
                ];
                Body::from_stream(futures::stream::iter(chunks)).into_response()
            }
            Self::Compressed => ([(header::CONTENT_ENCODING, "gzip")], vec![0x1f, 0x8b, 8]).into_response(),
        }
    }
}
