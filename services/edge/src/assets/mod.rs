//! An Airflow UI's own files, compressed once per runtime and served from here: the api-server would compress its 7 MB
//! script again for every request.
//!
//! They come from the runtime's package, never from a cluster's answer, so no cluster can put anything into them. They
//! hold nothing of any tenant and are served without a session; so that this tells no stranger which clusters exist, a
//! file is also found under a prefix that has no route.

mod build;
mod manifest;
mod serve;

pub use build::{AssetError, Built, build};
pub(crate) use serve::{Assets, Looked, Place, look, serve};
