//! Where a script's text comes from: the spec, a bucket of the tenant's own, or the cluster's, where who tried it kept it.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use updraft_api::agent::{DagDelivery, ScriptFailure, ScriptFrom, ScriptObject, TrialAssignment};

use super::Failed;
use crate::dags::{foreign_bucket, outbound, own_store};
use crate::error::Error;

/// The most that is read of an object.
const MOST: u64 = 1 << 20;

/// The text as a node runs it.
pub(super) async fn of(from: &ScriptFrom, delivery: &DagDelivery) -> Result<String, Failed> {
    match from {
        ScriptFrom::Inline { text } => Ok(text.clone()),
        ScriptFrom::Kept { key } => read(&own_store(delivery)?, key).await,
    }
}

/// The text as it is to be tried.
pub(super) async fn to_try(wanted: &TrialAssignment, delivery: &DagDelivery) -> Result<String, Failed> {
    match &wanted.object {
        None => of(&wanted.script.from, delivery).await,
        Some(object) => foreign(object, delivery).await,
    }
}

/// Keeps what was tried where every node reads it.
pub(super) async fn keep(text: &str, from: &ScriptFrom, delivery: &DagDelivery) -> Result<(), Failed> {
    let ScriptFrom::Kept { key } = from else {
        return Ok(());
    };
    let put = own_store(delivery)?
        .put(&Path::from(key.as_str()), text.to_owned().into())
        .await;
    put.map(|_| ())
        .map_err(|error| Failed::from(Error::store("keep the script")(error)))
}

async fn foreign(object: &ScriptObject, delivery: &DagDelivery) -> Result<String, Failed> {
    let place = (
        object.endpoint.as_deref(),
        object.region.as_str(),
        object.bucket.as_str(),
    );
    let store = foreign_bucket(place, object.credential.as_ref(), &outbound(delivery));
    read(&store.map_err(unreadable)?, &object.key).await
}

async fn read(store: &Arc<dyn ObjectStore>, key: &str) -> Result<String, Failed> {
    let refused = |why: &str| Failed::new(ScriptFailure::Source, why);
    let asked = |error| unreadable(Error::store("read the script")(error));
    let answer = store.get(&Path::from(key)).await.map_err(asked)?;
    if answer.meta.size > MOST {
        return Err(refused(
            "The object is larger than 1 MiB: fetch from within a script what is larger.",
        ));
    }
    let bytes = answer.bytes().await.map_err(asked)?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| refused("The object is no text in UTF-8."))?;
    if text.trim().is_empty() || text.contains('\0') {
        return Err(refused("The object is no script: it is empty, or holds NUL."));
    }
    Ok(text)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unreadable(error: Error) -> Failed {
    Failed::new(ScriptFailure::Source, error.chain())
}
