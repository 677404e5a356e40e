//! The name by which one request is found in every log.

use http::HeaderValue;
use rand::Rng as _;

/// 128 random bits in hexadecimal. Ours, whatever the client calls its request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

// === impl RequestId ===

impl RequestId {
    pub(crate) fn new(random: [u8; 16]) -> Self {
        let mut text = [0; 32];
        // Neither can fail: the lengths fit, and digits are visible ASCII.
        let _ = hex::encode_to_slice(random, &mut text);
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("")))
    }

    pub(crate) fn random() -> Self {
        Self::new(rand::rng().random())
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    pub(crate) fn into_value(self) -> HeaderValue {
        self.0
    }
}
