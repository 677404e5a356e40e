//! What every REST operation shares: who asks, what is refused before a handler runs, and how answers look.
//!
//! A request passes, outermost first: request id and problem rendering, audit log, panics, deadline, host allow-list, security
//! headers; then for all but the few public operations: authentication (with the cross-site check for cookies) and
//! idempotency. Handlers only extract, call `app` and convert.

mod answer;
mod audit;
mod authenticate;
mod deadline;
mod device;
mod docs;
mod extract;
mod generation;
mod guard;
mod headers;
mod idempotency;
mod openapi;
mod origin;
mod page;
mod problem;
mod state;

pub(crate) use answer::{accepted, shown_once, with_generation};
pub(crate) use audit::audited;
pub(crate) use authenticate::{Caller, require_caller};
pub(crate) use deadline::deadline;
pub(crate) use device::device_refused;
pub(crate) use docs::{POLICY as DOCS_POLICY, page as docs_page};
pub(crate) use extract::{ApiJson, ApiPath, ApiQuery, ClientAddress};
pub(crate) use generation::IfMatch;
pub(crate) use guard::{require_known_host, unknown_method, unknown_path, when_panicked};
pub(crate) use headers::security_headers;
pub(crate) use idempotency::{BODY_LIMIT, answer_once};
pub(crate) use openapi::document;
pub(crate) use page::PageQuery;
pub(crate) use problem::{ApiError, ApiResult, RequestId, render_problems};
pub use state::{RestConfig, RestState};
