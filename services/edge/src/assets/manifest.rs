//! What a directory of compressed assets contains.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Written last: a directory without it is unfinished.
pub(super) const MANIFEST: &str = "manifest.json";
/// Raised when what [`super::build`] makes changes.
pub(super) const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// Path below `static/` → file.
    pub(super) files: HashMap<String, AssetFile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AssetFile {
    pub(super) content_type: String,
    /// Hex, of the uncompressed content.
    pub(super) digest: String,
    /// Its name changes with its content.
    pub(super) immutable: bool,
    /// What it was worth compressing to.
    pub(super) encodings: Vec<Encoding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    Br,
    Zstd,
    Gzip,
    Identity,
}

// === impl Encoding ===

impl Encoding {
    /// Best first.
    pub(super) const COMPRESSED: [Self; 3] = [Self::Br, Self::Zstd, Self::Gzip];

    /// As in `Content-Encoding`.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Br => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }
}
