//! How long a cluster's logs are kept, and where: on its configuration page, and the form that changes it.

use axum::extract::State;
use serde::Deserialize;
use updraft_api::rest::UpdateCluster;
use updraft_app::AppError;
use updraft_model::{ClusterId, CredentialName, Generation, LogBucketSpec, LogsSpec};

use super::change_configuration::apply;
use super::configuration::{View, draw};
use crate::extract::{At, Sent};
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;

/// As it is typed: what was refused comes back to be corrected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct LogKeeping {
    pub(crate) retention_days: String,
    /// Empty: the cluster's own.
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) credential: String,
    /// What the person saw: a change made meanwhile is not overwritten.
    generation: i64,
}

// === impl LogKeeping ===

impl LogKeeping {
    pub(crate) fn of(spec: &LogsSpec) -> Self {
        let days = spec.retention_days.to_string();
        let Some(bucket) = &spec.bucket else {
            return Self {
                retention_days: days,
                ..Self::default()
            };
        };
        Self {
            retention_days: days,
            bucket: bucket.bucket.clone(),
            prefix: bucket.prefix.clone(),
            region: bucket.region.clone(),
            endpoint: bucket.endpoint.clone().unwrap_or_default(),
            credential: bucket.credential.to_string(),
            generation: 0,
        }
    }

    fn spec(&self) -> Result<LogsSpec, AppError> {
        let days = self.retention_days.trim().parse();
        Ok(LogsSpec {
            retention_days: days.map_err(|_| invalid("retention_days", "write a number of days, like 90"))?,
            bucket: self.own_bucket()?,
        })
    }

    fn own_bucket(&self) -> Result<Option<LogBucketSpec>, AppError> {
        let fields = [
            &self.bucket,
            &self.prefix,
            &self.region,
            &self.endpoint,
            &self.credential,
        ];
        if fields.iter().all(|field| field.trim().is_empty()) {
            return Ok(None);
        }
        if self.bucket.trim().is_empty() {
            let why = "name the bucket; or, for the cluster's own, leave prefix, region, credential and endpoint empty too";
            return Err(invalid("bucket.bucket", why));
        }
        let credential = self.credential.trim().parse::<CredentialName>();
        let endpoint = self.endpoint.trim();
        Ok(Some(LogBucketSpec {
            bucket: self.bucket.trim().to_owned(),
            prefix: self.prefix.trim().to_owned(),
            region: self.region.trim().to_owned(),
            endpoint: (!endpoint.is_empty()).then(|| endpoint.to_owned()),
            credential: credential.map_err(|error| invalid("bucket.credential", error.to_string()))?,
        }))
    }
}

fn invalid(field: &str, why: impl Into<String>) -> AppError {
    AppError::Invalid {
        field: format!("logs.{field}"),
        why: why.into(),
    }
}

pub(crate) async fn keep(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(keeping): Sent<LogKeeping>,
) -> Answer {
    let (spec, generation) = (keeping.spec(), Generation(keeping.generation));
    let view = View {
        logs: Some(keeping),
        ..View::default()
    };
    match spec {
        Ok(logs) => {
            let update = UpdateCluster {
                logs: Some(logs),
                ..UpdateCluster::default()
            };
            apply(&console, &visit, id, generation, update, view).await
        }
        Err(error) => draw(&console, &visit, id, view, Some(error.into())).await,
    }
}

#[cfg(test)]
mod tests {
    use updraft_app::AppError;
    use updraft_model::LogsSpec;

    use super::LogKeeping;

    fn typed() -> LogKeeping {
        LogKeeping {
            retention_days: " 30 ".into(),
            bucket: "acme-logs".into(),
            prefix: "airflow/".into(),
            region: "eu-west-1".into(),
            credential: "logs".into(),
            ..LogKeeping::default()
        }
    }

    fn refused(keeping: &LogKeeping) -> String {
        match keeping.spec() {
            Err(AppError::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn what_is_typed_is_the_spec_and_is_shown_as_it_was_typed() {
        let spec = typed().spec().unwrap();
        let bucket = spec.bucket.as_ref().unwrap();
        assert_eq!((spec.retention_days, bucket.bucket.as_str()), (30, "acme-logs"));
        assert_eq!(bucket.endpoint, None, "an empty field is none");
        assert_eq!(LogKeeping::of(&spec).spec().unwrap(), spec);
        let own = LogsSpec::default();
        assert_eq!(LogKeeping::of(&own).spec().unwrap(), own, "without a bucket");
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_field() {
        let with = |change: fn(&mut LogKeeping)| {
            let mut keeping = typed();
            change(&mut keeping);
            refused(&keeping)
        };
        assert_eq!(
            with(|typed| typed.retention_days = "a week".into()),
            "logs.retention_days"
        );
        assert_eq!(with(|typed| typed.bucket = " ".into()), "logs.bucket.bucket");
        assert_eq!(
            with(|typed| typed.credential = String::new()),
            "logs.bucket.credential"
        );
    }
}
