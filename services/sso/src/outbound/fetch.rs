//! One request, from its address to the whole answer.

use std::sync::Arc;

use super::{OutboundError, OutboundPolicy, OutboundRequest, OutboundResponse, Resolve, SystemResolver};

/// The one way out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    policy: OutboundPolicy,
    resolver: Arc<dyn Resolve>,
}

// === impl Outbound ===

impl Outbound {
    #[must_use]
    pub fn new(policy: OutboundPolicy) -> Self {
        Self::with_resolver(policy, Arc::new(SystemResolver))
    }

    /// With names of one's own.
    #[must_use]
    pub fn with_resolver(policy: OutboundPolicy, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            inner: Arc::new(Inner { policy, resolver }),
        }
    }

    /// # Errors
    /// When the address is not to be asked, or gave no whole answer. Any status is an answer.
    pub async fn fetch(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let _ = request;
        Err(OutboundError::Unreachable)
    }
}
