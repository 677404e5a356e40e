//! Telling control, until the edge stops and once more then.

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::state::State;

/// What control did not hear is told again: it may write a line twice, never none.
pub(crate) async fn report(state: &State, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(state.config.limits.refusals) => {}
            () = shutdown.cancelled() => {}
        }
        report_once(state, shutdown.is_cancelled()).await;
    }
}

async fn report_once(state: &State, all: bool) {
    let news = state.refusals.take(Utc::now().timestamp(), all);
    if news.refusals.is_empty() && news.dropped == 0 {
        return;
    }
    if let Err(error) = state.control.report_refusals(&news).await {
        tracing::debug!(%error, "what was refused could not be told; later");
        state.refusals.give_back(news);
    }
}
