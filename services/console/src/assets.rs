//! Serves the embedded assets under `/assets/<hash>/…`, compressed at build time and immutable.

use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

struct Asset {
    name: &'static str,
    kind: &'static str,
    identity: &'static [u8],
    brotli: &'static [u8],
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| hash == HASH && asset.name == name) {
        Some(asset) => answer(asset, headers.get(ACCEPT_ENCODING)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(asset: &Asset, accepts: Option<&HeaderValue>) -> Response {
    let accepts = accepts.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (coding, body) = negotiate(asset, accepts);
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn negotiate(asset: &Asset, accepts: &str) -> (Option<&'static str>, &'static [u8]) {
    let accepted = |coding: &str| {
        accepts.split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            parts.next() == Some(coding) && !parts.any(|p| p == "q=0")
        })
    };
    if accepted("br") {
        (Some("br"), asset.brotli)
    } else if accepted("gzip") {
        (Some("gzip"), asset.gzip)
    } else {
        (None, asset.identity)
    }
}

/// Bytes that a browser loads for a page beside it.
#[cfg(test)]
pub(crate) fn sent_with(html: &str) -> usize {
    let loaded = |asset: &&Asset| html.contains(&format!("/assets/{HASH}/{}\"", asset.name));
    ASSETS.iter().filter(loaded).map(|asset| asset.brotli.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::{ASSETS, negotiate};

    #[test]
    fn the_best_accepted_coding_is_sent() {
        let css = ASSETS.iter().find(|asset| asset.name == "console.css").unwrap();
        assert_eq!(negotiate(css, "gzip, deflate, br").0, Some("br"));
        assert_eq!(negotiate(css, "gzip;q=1.0, br;q=0").0, Some("gzip"));
        assert_eq!(negotiate(css, "").0, None);
    }
}
