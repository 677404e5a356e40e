//! `POST /clusters/{id}/dags/push`

use std::fs::File;
use std::io::{Error, Write as _};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use futures::StreamExt as _;
use serde::Deserialize;
use updraft_api::dags::Pushed;
use updraft_app::{App, AppError, PushBegun};
use updraft_model::{ClusterId, DagFolder};
use utoipa::IntoParams;

use crate::rest::{ApiError, ApiPath, ApiQuery, ApiResult, Caller};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PushQuery {
    /// The folder to fill; left out: the top.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    folder: DagFolder,
    /// What receipts say of it, up to 500 characters.
    message: Option<String>,
}

/// Push DAGs
///
/// A gzipped tar archive of all of the folder's files, up to 256 MiB packed, 2 GiB and 50,000 files unpacked. The folder's
/// source must be of kind `push`. `GET /clusters/{id}/dags` says when it is live: its `synced` is then the answer's `sync`,
/// or more.
#[utoipa::path(post, path = "/clusters/{id}/dags/push", tag = "dags", operation_id = "push_dags",
    params(("id" = ClusterId, Path, description = "The cluster"), PushQuery),
    request_body(content = Vec<u8>, content_type = "application/gzip", description = "`tar -czf - -C dags .`"),
    responses((status = 202, description = "It is stored, and nodes were told", body = Pushed)))]
pub(super) async fn push_dags(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(query): ApiQuery<PushQuery>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Pushed>)> {
    let begun = app.begin_push(&actor, id, query.folder, query.message).await?;
    let file = received(body).await?;
    let pushed = app.finish_push(&actor, begun, file).await?;
    Ok((StatusCode::ACCEPTED, Json(pushed)))
}

/// The whole body in a file without a name, which is gone with the request.
async fn received(body: Body) -> ApiResult<File> {
    let mut file = tempfile::tempfile().map_err(kept)?;
    let mut stream = body.into_data_stream();
    let mut length = 0_u64;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| incomplete())?;
        length += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        if length > PushBegun::LARGEST {
            return Err(PushBegun::too_large().into());
        }
        let written = tokio::task::spawn_blocking(move || file.write_all(&chunk).map(|()| file));
        file = written
            .await
            .map_err(|_| kept(Error::other("a thread died")))?
            .map_err(kept)?;
    }
    Ok(file)
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn kept(error: Error) -> ApiError {
    tracing::error!(%error, "a push could not be written to disk");
    AppError::Internal {
        what: "keeping a received archive",
    }
    .into()
}

fn incomplete() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "malformed-body",
        "The archive ended before it was complete.",
        "Push it again.",
    )
}
