//! The request under way, as the lines about it need to know it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use updraft_api::Problem;
use updraft_authz::Actor;
use updraft_model::{ProviderId, TenantId};

use super::{Attempt, By};

tokio::task_local! {
    static UNDER_WAY: Arc<Request>;
}

/// Where a request came from, as it was seen by whoever serves it; nothing of it is the client's to choose but the
/// name of its program.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// The one the answer carries.
    pub request_id: String,
}

#[derive(Debug)]
pub(super) struct Request {
    origin: Origin,
    known: Mutex<Known>,
}

/// What came to be known while the request was worked on.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) by: Option<By>,
    pub(super) attempt: Option<Attempt>,
    /// Whose account somebody claims who has not proven it.
    pub(super) claimed: Option<String>,
    /// The word of the last refusal that was turned into a page.
    pub(super) reason: Option<String>,
}

/// The credential was good: what is refused from now on was refused to this person.
pub(crate) fn recognise(actor: &Actor) {
    note(|known| known.by = Some(By::from(actor)));
}

/// Who asks runs the installation, and asks for what only such people may do.
pub(crate) fn recognise_operator(actor: &Actor) {
    note(|known| known.by = Some(By::operator(actor)));
}

/// A tenant's identity provider was named: its owners are shown what is refused from now on.
pub(crate) fn recognise_provider(tenant: TenantId, id: ProviderId, name: &str) {
    note(|known| known.by = Some(By::provider(tenant, id, name)));
}

/// A use case refused, and whoever serves the request draws a page of its own about it.
pub fn refused(problem: &Problem) {
    note(|known| known.reason = Some(word(problem).to_owned()));
}

/// The stable word of a problem: `forbidden`.
#[must_use]
pub fn word(problem: &Problem) -> &str {
    problem.kind.rsplit(':').next().unwrap_or_default()
}

/// Work that goes on in a task of its own and still belongs to the request under way.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let request = UNDER_WAY.try_with(Arc::clone).ok();
    async move {
        match request {
            Some(request) => UNDER_WAY.scope(request, work).await,
            None => work.await,
        }
    }
}

/// Does the work of one request, and tells what came to be known of it.
pub(super) async fn under_way<F: Future>(origin: Origin, work: F) -> (F::Output, Known) {
    let request = Arc::new(Request {
        origin,
        known: Mutex::default(),
    });
    let output = UNDER_WAY.scope(request.clone(), work).await;
    let known = request
        .known
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    (output, known)
}

pub(super) fn note(what: impl FnOnce(&mut Known)) {
    // Outside a request there is nobody to tell.
    let _ = UNDER_WAY.try_with(|request| {
        what(&mut request.known.lock().unwrap_or_else(PoisonError::into_inner));
    });
}

pub(crate) fn origin() -> Origin {
    UNDER_WAY
        .try_with(|request| request.origin.clone())
        .unwrap_or_default()
}

/// One line of at most so many characters: the log is no place for what strangers would like to keep there.
pub(super) fn plain(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect()
}
