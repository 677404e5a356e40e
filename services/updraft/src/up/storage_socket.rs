//! Control asks for buckets and identities here: storage belongs to the `up` process, which alone holds its
//! administrator's key. One JSON line in, one out, on a socket that only Updraft's own user reaches.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use updraft_embedded::{Credentials, Layout, S3};

use crate::compose::{StorageAnswer, StorageRequest};

pub(crate) fn path(layout: &Layout) -> PathBuf {
    layout.run().join("storage.sock")
}

/// Serves until the task is dropped.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn serve(path: &Path, s3: Arc<S3>) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("{} cannot be made", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let s3 = s3.clone();
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &s3).await {
                    tracing::warn!(%error, "storage request was cut off");
                }
            });
        }
    }))
}

async fn answer(stream: UnixStream, s3: &S3) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let answer = match carry_out(&line, s3).await {
        Ok(()) => StorageAnswer { error: None },
        Err(error) => StorageAnswer {
            error: Some(format!("{error:#}")),
        },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    stream.get_mut().write_all(&text).await?;
    Ok(())
}

async fn carry_out(line: &str, s3: &S3) -> anyhow::Result<()> {
    match serde_json::from_str(line)? {
        StorageRequest::Ensure {
            bucket,
            access_key,
            secret_key,
        } => {
            s3.ensure_bucket(&bucket).await?;
            let credentials = Credentials {
                access_key,
                secret_key: SecretString::from(secret_key),
            };
            s3.ensure_identity(&bucket, &credentials, &bucket).await?;
        }
        StorageRequest::Remove { bucket } => {
            s3.remove_identity(&bucket).await?;
            s3.remove_bucket(&bucket).await?;
        }
    }
    Ok(())
}
