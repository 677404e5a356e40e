//! Compresses a runtime's UI files, once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use walkdir::WalkDir;

use super::manifest::{AssetFile, Encoding, FORMAT, MANIFEST, Manifest};

/// Where Airflow 3 keeps what its api-server serves below `/static`.
const DIST: &str = "airflow/ui/dist";
/// A response this small fits one packet anyway.
const WORTH_COMPRESSING: usize = 1024;
/// 9 of 11: the last two cost ten times as much for a few percent.
const BROTLI_QUALITY: i32 = 9;
const ZSTD_LEVEL: i32 = 15;

/// What [`build`] found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    pub files: usize,
    /// False when they were there already.
    pub fresh: bool,
}

#[derive(Debug, Error)]
pub enum AssetError {
    #[error("no Airflow UI below {0}: is the environment complete?")]
    NoDist(PathBuf),
    #[error("{path} could not be read or written")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the directory of {0} could not be listed")]
    Walk(PathBuf, #[source] walkdir::Error),
    #[error("the manifest could not be written")]
    Manifest(#[source] serde_json::Error),
}

/// Compresses the UI files of the Airflow environment in `env_dir` (or its site-packages) into `out_dir`, which is
/// named after the runtime.
/// Blocking, some seconds of all cores. Any number of calls may run at once; the first to finish wins.
///
/// # Errors
/// When the environment holds no Airflow UI, or the disk refuses.
pub fn build(env_dir: &Path, out_dir: &Path) -> Result<Built, AssetError> {
    if let Some(manifest) = read_manifest(out_dir) {
        return Ok(Built {
            files: manifest.files.len(),
            fresh: false,
        });
    }
    let dist = find_dist(env_dir)?;
    let parent = out_dir.parent().unwrap_or(Path::new("."));
    let work = parent.join(format!(".assets-{:016x}", rand::random::<u64>()));
    let made =
        make(&dist, &work).and_then(|files| publish(&work, out_dir).map(|fresh| Built { files, fresh }));
    let _ = std::fs::remove_dir_all(&work);
    made
}

pub(super) fn read_manifest(dir: &Path) -> Option<Manifest> {
    let text = std::fs::read(dir.join(MANIFEST)).ok()?;
    serde_json::from_slice(&text)
        .ok()
        .filter(|m: &Manifest| m.format == FORMAT)
}

/// In a virtual environment, or in its site-packages directory itself.
fn find_dist(env_dir: &Path) -> Result<PathBuf, AssetError> {
    let pythons = std::fs::read_dir(env_dir.join("lib"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    std::iter::once(env_dir.to_owned())
        .chain(pythons.map(|python| python.path().join("site-packages")))
        .map(|packages| packages.join(DIST))
        .find(|dist| dist.join("index.html").is_file())
        .ok_or_else(|| AssetError::NoDist(env_dir.to_owned()))
}

fn make(dist: &Path, work: &Path) -> Result<usize, AssetError> {
    let sources = list(dist)?;
    let files = Mutex::new(std::collections::HashMap::new());
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let work_through = || -> Result<(), AssetError> {
        while let Some(name) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = compress(dist, work, name)?;
            files
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .insert(name.clone(), file);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (1..threads).map(|_| scope.spawn(work_through)).collect();
        let mine = work_through();
        running
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .fold(mine, Result::and)
    })?;
    let files = files
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = files.len();
    let text = serde_json::to_vec(&Manifest {
        format: FORMAT,
        files,
    })
    .map_err(AssetError::Manifest)?;
    write(&work.join(MANIFEST), &text)?;
    Ok(count)
}

/// The files that are served, largest first so that the threads end together. The page itself is a template that
/// only the api-server can fill.
fn list(dist: &Path) -> Result<Vec<String>, AssetError> {
    let mut found = Vec::new();
    for entry in WalkDir::new(dist).follow_links(false) {
        let entry = entry.map_err(|source| AssetError::Walk(dist.to_owned(), source))?;
        let name = entry
            .path()
            .strip_prefix(dist)
            .ok()
            .and_then(Path::to_str)
            .unwrap_or_default();
        if entry.file_type().is_file() && name != "index.html" && !name.starts_with('.') {
            found.push((entry.metadata().map_or(0, |m| m.len()), name.to_owned()));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

fn compress(dist: &Path, work: &Path, name: &str) -> Result<AssetFile, AssetError> {
    let source = dist.join(name);
    let content = std::fs::read(&source).map_err(|error| AssetError::Io {
        path: source,
        source: error,
    })?;
    let target = work.join(name);
    write(&target, &content)?;
    let mut encodings = Vec::new();
    for encoding in Encoding::COMPRESSED {
        let compressed = encode(&content, encoding).map_err(|source| AssetError::Io {
            path: target.clone(),
            source,
        })?;
        if content.len() >= WORTH_COMPRESSING && compressed.len() < content.len() / 10 * 9 {
            write(&work.join(format!("{name}{}", encoding.suffix())), &compressed)?;
            encodings.push(encoding);
        }
    }
    Ok(AssetFile {
        content_type: content_type(name),
        digest: hex::encode(&Sha256::digest(&content)[..12]),
        immutable: is_hashed(name),
        encodings,
    })
}

fn encode(content: &[u8], encoding: Encoding) -> std::io::Result<Vec<u8>> {
    match encoding {
        Encoding::Br => {
            let mut out = Vec::new();
            let params = brotli::enc::BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                lgwin: 22,
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*content, &mut out, &params)?;
            Ok(out)
        }
        Encoding::Zstd => zstd::encode_all(content, ZSTD_LEVEL),
        Encoding::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gzip.write_all(content)?;
            gzip.finish()
        }
        Encoding::Identity => Ok(content.to_vec()),
    }
}

fn content_type(name: &str) -> String {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    match kind.essence_str() {
        "application/javascript" | "text/javascript" => "text/javascript; charset=utf-8".into(),
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.into(),
    }
}

/// Vite names a file `assets/<name>-<hash of 8>.<extension>`.
fn is_hashed(name: &str) -> bool {
    let Some(file) = name.strip_prefix("assets/") else {
        return false;
    };
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let hash = stem.len().checked_sub(9).and_then(|at| stem.get(at..));
    hash.and_then(|h| h.strip_prefix('-')).is_some_and(|h| {
        h.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    })
}

fn write(path: &Path, content: &[u8]) -> Result<(), AssetError> {
    let io = |source| AssetError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(io)?;
    }
    std::fs::write(path, content).map_err(io)
}

/// Puts the finished directory in place; false when another was faster.
fn publish(work: &Path, out_dir: &Path) -> Result<bool, AssetError> {
    if std::fs::rename(work, out_dir).is_ok() {
        return Ok(true);
    }
    if read_manifest(out_dir).is_some() {
        return Ok(false);
    }
    // Left over, unfinished or of an older format.
    let io = |source| AssetError::Io {
        path: out_dir.to_owned(),
        source,
    };
    std::fs::remove_dir_all(out_dir).map_err(io)?;
    std::fs::rename(work, out_dir).map_err(io)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_never_change() {
        assert!(is_hashed("assets/index-1ifPC3Lo.js"));
        assert!(is_hashed("assets/jsonMode-l_SMGJsK.js"));
        assert!(!is_hashed("pin_32.png"));
        assert!(!is_hashed("i18n/locales/de/common.json"));
        assert!(!is_hashed("assets/plain.js"));
    }
}
