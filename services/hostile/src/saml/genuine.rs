//! What the provider really says of Ada: as it was recorded, or the same said anew for another sign-in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::recorded::{ACS, RECORDED, REQUEST, SLO, SP, recorded, signed_again, sp_certificate};

/// One sign-in, as the provider saw it.
#[derive(Clone, Debug)]
pub struct Genuine {
    /// Whom assertions are encrypted for, in PEM.
    pub(super) certificate: String,
    anew: Option<Anew>,
}

/// Another place, request and time than those of the recording.
#[derive(Clone, Debug)]
pub struct Anew {
    /// The service provider's entity id.
    pub sp: String,
    pub acs: String,
    pub slo: String,
    pub request: String,
    /// In PEM.
    pub certificate: String,
    pub now: DateTime<Utc>,
}

// === impl Genuine ===

impl Genuine {
    #[must_use]
    pub fn recorded() -> Self {
        Self {
            certificate: sp_certificate(),
            anew: None,
        }
    }

    #[must_use]
    pub fn anew(anew: Anew) -> Self {
        Self {
            certificate: anew.certificate.clone(),
            anew: Some(anew),
        }
    }

    /// The response of this kind. What has one signature is signed again where it had to be changed.
    #[must_use]
    pub fn said(&self, kind: &str) -> String {
        let said = recorded(kind);
        let Some(anew) = &self.anew else {
            return said;
        };
        let said = anew.rewritten(&said);
        match kind {
            "signed_response" | "signed_assertion" | "encrypted_triple_des" => signed_again(&said),
            _ => said,
        }
    }

    pub(super) fn rewritten(&self, text: &str) -> String {
        self.anew
            .as_ref()
            .map_or_else(|| text.to_owned(), |anew| anew.rewritten(text))
    }
}

// === impl Anew ===

impl Anew {
    fn rewritten(&self, text: &str) -> String {
        let once = Uuid::new_v4().simple().to_string();
        let text = text
            .replace(SP, &self.sp)
            .replace(ACS, &self.acs)
            .replace(SLO, &self.slo)
            .replace(REQUEST, &self.request)
            .replace("=\"id-", &format!("=\"id-{once}-"))
            .replace("=\"#id-", &format!("=\"#id-{once}-"));
        later(&text, self.now - RECORDED.at)
    }
}

/// As a form has it.
#[must_use]
pub fn encode(response: &str) -> String {
    STANDARD.encode(response)
}

/// All instants moved by as much.
fn later(text: &str, by: TimeDelta) -> String {
    let mut parts = text.split("=\"");
    let mut moved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        moved.push_str("=\"");
        let instant = part
            .split_once('"')
            .and_then(|(value, rest)| Some((value.parse::<DateTime<Utc>>().ok()?, rest)));
        match instant {
            Some((at, rest)) => {
                let at = (at + by).format("%Y-%m-%dT%H:%M:%SZ");
                moved.push_str(&format!("{at}\"{rest}"));
            }
            None => moved.push_str(part),
        }
    }
    moved
}
