//! A sign-in as it was recorded, everything about it right.

use bergshamra_keys::loader::load_ec_p256_private_pem;
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use updraft_hostile::saml::surgery::replace;
use updraft_hostile::saml::{ACS, RECORDED, REQUEST, Recorded, SLO, SP, encode, signed_with};
use updraft_model::SamlConfig;
use updraft_sso::saml::{AssertionUse, Attempt, ServiceProvider, finish, read_metadata};
use updraft_sso::{Refusal, VouchedIdentity};

/// One attempt to sign in: everything right unless a test says otherwise.
pub(crate) struct Situation {
    pub(crate) config: SamlConfig,
    pub(crate) sp: ServiceProvider,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) now: DateTime<Utc>,
}

pub(crate) type Finished = Result<(VouchedIdentity, AssertionUse), Refusal>;

/// A provider's key on a curve, whose certificate expires with this year.
pub(crate) struct Elliptic {
    pub(crate) certificate_pem: String,
    private_pem: String,
    pub(crate) private_pkcs8: Vec<u8>,
}

pub(crate) fn elliptic(until: i32) -> Elliptic {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 12, 31);
    Elliptic {
        certificate_pem: params.self_signed(&key).unwrap().pem(),
        private_pem: key.serialize_pem(),
        private_pkcs8: key.serialize_der(),
    }
}

impl Elliptic {
    pub(crate) fn signed(&self, response: &str) -> String {
        let response = replace(response, "xmldsig-more#rsa-sha256", "xmldsig-more#ecdsa-sha256");
        signed_with(
            &response,
            load_ec_p256_private_pem(self.private_pem.as_bytes()).unwrap(),
        )
    }
}

// === impl Situation ===

impl Situation {
    pub(crate) fn new() -> Self {
        Self::of(&RECORDED)
    }

    pub(crate) fn of(recorded: &Recorded) -> Self {
        Self {
            config: read_metadata(&recorded.idp_metadata).unwrap(),
            sp: ServiceProvider {
                entity_id: SP.to_owned(),
                acs_url: ACS.to_owned(),
                slo_url: SLO.to_owned(),
                key: recorded.sp_key(),
            },
            attempt: Some(Attempt {
                request_id: REQUEST.to_owned(),
            }),
            now: recorded.at + TimeDelta::seconds(5),
        }
    }

    pub(crate) fn finish(&self, response: &str) -> Finished {
        self.finish_form(&encode(response))
    }

    pub(crate) fn finish_form(&self, form: &str) -> Finished {
        finish(&self.config, &self.sp, form, self.attempt.as_ref(), self.now)
    }
}
