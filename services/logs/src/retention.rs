//! Removes what is older than logs are to be kept.
//!
//! By object and by what the bucket says of its age, which no line can lie about. An attempt's log goes as a whole, once
//! nothing of it is younger; of a service's log the segments go that are complete, and the growing one only when it is as
//! old itself and was not written to meanwhile. A bucket's own lifecycle rules know neither: they would take the beginning
//! of a task that still runs.

use std::mem;

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use updraft_api::log_layout::{LogFile, LogKey, LogSource};

use crate::Result;

/// Requests at once.
const AT_ONCE: usize = 8;

/// What belongs together: an attempt with all its files, or one file of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Whole {
    source: LogSource,
    file: Option<LogFile>,
}

/// Removes logs below `prefix` that nobody has written to since `before`; how many objects that were. May be broken off
/// at any point, and begun again.
///
/// # Errors
/// [`crate::LogsError::Bucket`].
pub async fn remove_old(store: &dyn ObjectStore, prefix: &str, before: DateTime<Utc>) -> Result<u64> {
    let Ok(folder) = Path::parse(prefix) else {
        return Ok(0);
    };
    let mut removed = 0;
    let mut whole = None;
    let mut objects = Vec::new();
    // In order of keys: what belongs together comes together.
    let mut listed = store.list(Some(&folder));
    while let Some(object) = listed.try_next().await? {
        let Some(of) = whole_of(prefix, &object) else {
            continue;
        };
        if whole.as_ref() != Some(&of) {
            removed += remove(store, whole.as_ref(), mem::take(&mut objects), before).await?;
            whole = Some(of);
        }
        objects.push(object);
    }
    removed += remove(store, whole.as_ref(), objects, before).await?;
    Ok(removed)
}

fn whole_of(prefix: &str, object: &ObjectMeta) -> Option<Whole> {
    let key = LogKey::parse(prefix, object.location.as_ref()).ok()?;
    let file = match key.source {
        LogSource::Attempt(_) => None,
        LogSource::Service(_) | LogSource::File(_) => Some(key.file),
    };
    Some(Whole {
        source: key.source,
        file,
    })
}

/// Pure: which of them are to go.
fn too_old(whole: &Whole, objects: Vec<ObjectMeta>, before: DateTime<Utc>) -> Vec<ObjectMeta> {
    let is_old = |object: &ObjectMeta| object.last_modified < before;
    match whole.source {
        LogSource::Attempt(_) if !objects.iter().all(is_old) => Vec::new(),
        LogSource::Attempt(_) | LogSource::Service(_) | LogSource::File(_) => {
            objects.into_iter().filter(is_old).collect()
        }
    }
}

async fn remove(
    store: &dyn ObjectStore,
    whole: Option<&Whole>,
    objects: Vec<ObjectMeta>,
    before: DateTime<Utc>,
) -> Result<u64> {
    let Some(whole) = whole else { return Ok(0) };
    let growing = objects.last().map(|object| object.location.clone());
    let doomed = too_old(whole, objects, before);
    let each = stream::iter(doomed).map(|object| {
        let may_grow = Some(&object.location) == growing.as_ref();
        async move { remove_one(store, &object.location, may_grow.then_some(before)).await }
    });
    each.buffer_unordered(AT_ONCE)
        .try_fold(0, |sum, removed| async move { Ok(sum + u64::from(removed)) })
        .await
}

/// What may have grown since it was listed is looked at once more.
async fn remove_one(store: &dyn ObjectStore, place: &Path, unless: Option<DateTime<Utc>>) -> Result<bool> {
    if let Some(before) = unless {
        match store.head(place).await {
            Ok(object) if object.last_modified >= before => return Ok(false),
            Ok(_) => {}
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    match store.delete(place).await {
        Ok(()) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use object_store::ObjectMeta;
    use object_store::path::Path;

    use super::{too_old, whole_of};

    const SERVICE: &str = "logs/services/worker/20261101T000000000Z-00001a2b.worker-1-d41f6c1a09b2";
    const TASK: &str = "logs/tasks/dag_id=a/run_id=r/task_id=t/attempt=1.log/20261101T000000000Z-00001a2b.worker-1-d41f6c1a09b2";

    fn object(folder: &str, offset: u64, days: i64, now: DateTime<Utc>) -> ObjectMeta {
        ObjectMeta {
            location: Path::parse(format!("{folder}/{offset:020}.log.gz")).unwrap(),
            last_modified: now - TimeDelta::days(days),
            size: 1,
            e_tag: None,
            version: None,
        }
    }

    fn removed(folder: &str, ages: &[i64]) -> Vec<i64> {
        let now = Utc::now();
        let objects: Vec<_> = (0..)
            .zip(ages)
            .map(|(offset, days)| object(folder, offset, *days, now))
            .collect();
        let whole = whole_of("logs/", &objects[0]).unwrap();
        let gone = too_old(&whole, objects, now - TimeDelta::days(30));
        gone.iter()
            .map(|object| (now - object.last_modified).num_days())
            .collect()
    }

    #[test]
    fn a_services_old_segments_go_and_the_one_that_grows_stays() {
        assert_eq!(removed(SERVICE, &[50, 40, 31, 29, 0]), [50, 40, 31]);
        assert_eq!(removed(SERVICE, &[50, 40]), [50, 40]);
        assert_eq!(removed(SERVICE, &[0]), [0_i64; 0]);
    }

    #[test]
    fn an_attempts_log_goes_as_a_whole_or_not_at_all() {
        assert_eq!(removed(TASK, &[50, 40, 29]), [0_i64; 0]);
        assert_eq!(removed(TASK, &[50, 40]), [50, 40]);
    }
}
