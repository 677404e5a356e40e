//! When API tokens were last used here, told to control now and then. Nothing waits for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use updraft_api::edge::{TokenUse, TokenUses};
use updraft_model::TokenId;

use crate::state::State;

/// What is noted again within it is not news.
pub(crate) const NOTE_EACH_SECONDS: i64 = 30;
const REPORT_TIMEOUT_AT_STOP: Duration = Duration::from_secs(1);

/// Uses that control was not told of yet: the last one, in Unix seconds, of each token.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    last: Mutex<HashMap<TokenId, i64>>,
}

// === impl Pending ===

impl Pending {
    pub(crate) fn note(&self, token: TokenId, at: i64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last.entry(token).or_insert(at);
        *kept = at.max(*kept);
    }

    fn take(&self) -> TokenUses {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let uses = last.drain().map(|(token, at)| TokenUse { token, at }).collect();
        TokenUses { uses }
    }
}

/// Reports until the edge stops, and once more then. What control did not hear is told again.
pub(crate) async fn report(state: &State, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(state.config.limits.token_uses) => {}
            () = shutdown.cancelled() => {}
        }
        let _ = tokio::time::timeout(
            state.config.limits.token_uses.max(REPORT_TIMEOUT_AT_STOP),
            report_once(state),
        )
        .await;
    }
}

async fn report_once(state: &State) {
    let news = state.token_uses.take();
    if news.uses.is_empty() {
        return;
    }
    if let Err(error) = state.control.report_token_uses(&news).await {
        tracing::debug!(%error, "the uses of API tokens could not be told; later");
        for TokenUse { token, at } in news.uses {
            state.token_uses.note(token, at);
        }
    }
}
