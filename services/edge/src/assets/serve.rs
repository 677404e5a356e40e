//! Answers requests for assets from memory, read from disk when first asked for.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use tokio::sync::OnceCell;

use super::build::read_manifest;
use super::manifest::{AssetFile, Encoding};
use crate::body::Body;

/// How often a missing runtime is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The assets of all runtimes.
pub(crate) struct Assets {
    root: PathBuf,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    sets: HashMap<String, Arc<AssetSet>>,
    looked: Option<Instant>,
}

struct AssetSet {
    files: HashMap<String, Asset>,
}

struct Asset {
    meta: AssetFile,
    path: PathBuf,
    contents: HashMap<Encoding, OnceCell<Bytes>>,
}

pub(crate) enum Looked {
    There(Place),
    NotThere,
    /// Nothing was compressed for this runtime: its api-server must serve it.
    NoAssets,
}

/// One file of one set.
pub(crate) struct Place {
    set: Arc<AssetSet>,
    file: String,
}

/// Looks for one file below `static/`.
pub(crate) fn look(assets: &Assets, runtime: Option<&str>, file: &str) -> Looked {
    let sets = assets.sets(runtime);
    if sets.is_empty() || (runtime.is_some() && !assets.has(runtime)) {
        return Looked::NoAssets;
    }
    let found = sets.into_iter().find(|set| set.files.contains_key(file));
    found.map_or(Looked::NotThere, |set| {
        Looked::There(Place {
            set,
            file: file.to_owned(),
        })
    })
}

/// Answers for it.
pub(crate) async fn serve(place: &Place, method: &Method, headers: &HeaderMap) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return crate::reply::status(StatusCode::METHOD_NOT_ALLOWED);
    }
    match place.set.files.get(&place.file) {
        Some(asset) => asset.respond(choose(&asset.meta, headers), headers).await,
        None => crate::reply::status(StatusCode::NOT_FOUND),
    }
}

/// The best encoding the client takes.
fn choose(file: &AssetFile, headers: &HeaderMap) -> Encoding {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let takes = |wanted: Encoding| {
        accepted.split(',').any(|item| {
            let (token, parameters) = item.split_once(';').unwrap_or((item, ""));
            let refused = parameters
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.parse() == Ok(0.0f32));
            token.trim().eq_ignore_ascii_case(wanted.token()) && !refused
        })
    };
    file.encodings
        .iter()
        .copied()
        .find(|encoding| takes(*encoding))
        .unwrap_or(Encoding::Identity)
}

// === impl Assets ===

impl Assets {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            found: Mutex::default(),
        }
    }

    /// This runtime's set first, then the others': a page opened before an upgrade finds its scripts for as long as
    /// the old set is kept.
    fn sets(&self, runtime: Option<&str>) -> Vec<Arc<AssetSet>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = runtime.is_none_or(|name| !found.sets.contains_key(name));
        if missing && found.looked.is_none_or(|at| at.elapsed() > LOOK_AGAIN) {
            found.look(&self.root);
        }
        let own = runtime.and_then(|name| found.sets.get(name));
        let others = found
            .sets
            .iter()
            .filter(|(name, _)| Some(name.as_str()) != runtime)
            .map(|(_, set)| set);
        own.into_iter().chain(others).cloned().collect()
    }

    fn has(&self, runtime: Option<&str>) -> bool {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.is_some_and(|name| found.sets.contains_key(name))
    }
}

impl Found {
    fn look(&mut self, root: &std::path::Path) {
        self.looked = Some(Instant::now());
        let Ok(entries) = std::fs::read_dir(root) else {
            return;
        };
        for entry in entries.filter_map(Result::ok) {
            let (Ok(name), dir) = (entry.file_name().into_string(), entry.path()) else {
                continue;
            };
            if name.starts_with('.') || self.sets.contains_key(&name) {
                continue;
            }
            if let Some(manifest) = read_manifest(&dir) {
                let files = manifest.files.into_iter().map(|(file, meta)| {
                    let path = dir.join(&file);
                    (file, Asset::new(meta, path))
                });
                self.sets.insert(
                    name,
                    Arc::new(AssetSet {
                        files: files.collect(),
                    }),
                );
            }
        }
    }
}

// === impl Asset ===

impl Asset {
    fn new(meta: AssetFile, path: PathBuf) -> Self {
        let contents = meta
            .encodings
            .iter()
            .copied()
            .chain([Encoding::Identity])
            .map(|e| (e, OnceCell::new()));
        Self {
            contents: contents.collect(),
            meta,
            path,
        }
    }

    async fn respond(&self, encoding: Encoding, headers: &HeaderMap) -> Response<Body> {
        let etag = format!("\"{}-{}\"", self.meta.digest, encoding.token());
        let known = headers
            .get(header::IF_NONE_MATCH)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|tags| {
                tags.split(',')
                    .any(|tag| tag.trim().trim_start_matches("W/") == etag)
            });
        let mut response = if known {
            crate::reply::status(StatusCode::NOT_MODIFIED)
        } else {
            match self.content(encoding).await {
                Ok(content) => Response::new(Body::Full(content)),
                Err(error) => {
                    tracing::error!(%error, path = %self.path.display(), "an asset cannot be read");
                    return crate::reply::status(StatusCode::INTERNAL_SERVER_ERROR);
                }
            }
        };
        self.describe(response.headers_mut(), encoding, &etag);
        response
    }

    async fn content(&self, encoding: Encoding) -> std::io::Result<Bytes> {
        let mut path = self.path.clone().into_os_string();
        path.push(encoding.suffix());
        let read = async move { tokio::fs::read(path).await.map(Bytes::from) };
        match self.contents.get(&encoding) {
            Some(cell) => cell.get_or_try_init(|| read).await.cloned(),
            None => read.await,
        }
    }

    fn describe(&self, headers: &mut HeaderMap, encoding: Encoding, etag: &str) {
        let cache = if self.meta.immutable {
            "public, max-age=31536000, immutable"
        } else {
            "public, max-age=300, stale-while-revalidate=86400"
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Ok(etag) = HeaderValue::try_from(etag) {
            headers.insert(header::ETAG, etag);
        }
        if let Ok(kind) = HeaderValue::try_from(&self.meta.content_type) {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        if encoding != Encoding::Identity {
            headers.insert(
                header::CONTENT_ENCODING,
                HeaderValue::from_static(encoding.token()),
            );
        }
    }
}
