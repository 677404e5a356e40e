//! Why a provider did not do what it was asked. The kinds decide what is tried next; the words are for people.

use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProviderError {
    #[error("the account's quota is reached: {0}")]
    Quota(String),
    #[error("no capacity: {0}")]
    Capacity(String),
    #[error("the provider limits the rate of requests")]
    Throttled,
    /// The request itself is wrong and will stay so.
    #[error("the provider refused the request: {0}")]
    Refused(String),
    /// No clear answer: the call may have taken effect.
    #[error("the provider gave no clear answer: {0}")]
    Unclear(String),
}
