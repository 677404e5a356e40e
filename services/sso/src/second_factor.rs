//! The second factor: codes of an authenticator app (TOTP, RFC 6238: SHA-1, 6 digits, 30 s, as every app has it) and
//! recovery codes for the day the telephone is gone. Pure but for making secrets: time comes in as a parameter.

use chrono::{DateTime, Utc};
use qrcode::QrCode;
use qrcode::render::svg;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::token::{random_bits, sha256};

const DIGITS: usize = 6;
/// Seconds.
const STEP: u64 = 30;
/// Clocks differ: the step before and the one after count too.
const SKEW: u64 = 1;
/// 160 bits, as RFC 4226 (section 4) has it.
const SECRET_LENGTH: usize = 20;
const RECOVERY_CODES: usize = 10;

/// What an authenticator app and Updraft share.
#[derive(Debug)]
pub struct TotpSecret(SecretString);

/// Codes that replace the app's, each good once.
#[derive(Debug)]
pub struct RecoveryCodes {
    /// Shown once.
    pub codes: Vec<String>,
    /// What is kept of them.
    pub hashes: Vec<[u8; 32]>,
}

#[derive(Debug, Error)]
#[error("the authenticator's secret is no good one")]
pub struct BadTotpSecret;

// === impl TotpSecret ===

impl TotpSecret {
    #[must_use]
    pub fn random() -> Self {
        let bytes = random_bits()[..SECRET_LENGTH].to_vec();
        Self(Secret::Raw(bytes).to_encoded().to_string().into())
    }

    /// In base32, as it was stored.
    #[must_use]
    pub fn from_stored(text: SecretString) -> Self {
        Self(text)
    }

    /// In base32: to be stored, and typed where no picture can be taken.
    #[must_use]
    pub fn expose(&self) -> &SecretString {
        &self.0
    }

    /// `otpauth://totp/…`, which authenticator apps read.
    ///
    /// # Errors
    /// [`BadTotpSecret`].
    pub fn uri(&self, account: &str) -> Result<String, BadTotpSecret> {
        // A colon divides issuer and account.
        Ok(self.totp(&account.replace(':', ""))?.get_url())
    }

    /// [`Self::uri`] as a picture: inline SVG, without any text of the person's in it.
    ///
    /// # Errors
    /// [`BadTotpSecret`].
    pub fn picture(&self, account: &str) -> Result<String, BadTotpSecret> {
        let code = QrCode::new(self.uri(account)?).map_err(|_| BadTotpSecret)?;
        let drawn = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
        let begin = drawn.find("<svg").ok_or(BadTotpSecret)?;
        Ok(drawn[begin..].to_owned())
    }

    /// The time step this code belongs to, if it is one of about now and later than the last one used.
    ///
    /// # Errors
    /// [`BadTotpSecret`].
    pub fn step_of(
        &self,
        code: &str,
        last_step: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<Option<i64>, BadTotpSecret> {
        let totp = self.totp("")?;
        let present = now.timestamp().max(0).unsigned_abs() / STEP;
        let typed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let fits = |step: &u64| {
            let expected = totp.generate(step * STEP);
            bool::from(expected.as_bytes().ct_eq(typed.as_bytes()))
        };
        let unused = |step: &i64| last_step.is_none_or(|last| *step > last);
        let mut steps = present.saturating_sub(SKEW)..=present + SKEW;
        let found = steps.rfind(fits).and_then(|step| i64::try_from(step).ok());
        Ok(found.filter(unused))
    }

    fn totp(&self, account: &str) -> Result<TOTP, BadTotpSecret> {
        let bytes = Secret::Encoded(self.0.expose_secret().to_owned())
            .to_bytes()
            .map_err(|_| BadTotpSecret)?;
        let issuer = Some("Updraft".to_owned());
        TOTP::new(
            Algorithm::SHA1,
            DIGITS,
            1,
            STEP,
            bytes,
            issuer,
            account.to_owned(),
        )
        .map_err(|_| BadTotpSecret)
    }
}

// === impl RecoveryCodes ===

impl RecoveryCodes {
    #[must_use]
    pub fn random() -> Self {
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
        let hashes = codes.iter().map(|code| recovery_hash(code)).collect();
        Self { codes, hashes }
    }
}

/// What is kept of a recovery code, however it was typed.
#[must_use]
pub fn recovery_hash(typed: &str) -> [u8; 32] {
    let plain: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
    sha256(plain.to_ascii_lowercase().as_bytes())
}

/// 80 bits, in four groups of five hexadecimal digits: a plain hash of it cannot be searched.
fn recovery_code() -> String {
    let hex: String = random_bits()[..10]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let groups: Vec<&str> = [0, 5, 10, 15].iter().map(|at| &hex[*at..at + 5]).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use secrecy::ExposeSecret as _;

    use super::{RecoveryCodes, TotpSecret, recovery_hash};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// RFC 6238, appendix B: `12345678901234567890`, the last six digits.
    fn of_the_rfc() -> TotpSecret {
        TotpSecret::from_stored("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into())
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            let step = of_the_rfc().step_of(code, None, at(seconds)).unwrap();
            assert_eq!(step, Some(seconds / 30), "{code}");
        }
    }

    #[test]
    fn a_code_is_good_once_and_one_step_around_its_own() {
        let (secret, now) = (of_the_rfc(), 1_111_111_111);
        let step = |last, seconds| secret.step_of(" 050 471", last, at(seconds)).unwrap();
        let own = now / 30;
        assert_eq!(step(None, now - 30), Some(own));
        assert_eq!(step(None, now + 30), Some(own));
        assert_eq!(step(Some(own - 1), now), Some(own));
        assert_eq!(step(None, now + 60), None, "too old");
        assert_eq!(step(None, now - 60), None, "not yet");
        assert_eq!(step(Some(own), now), None, "used");
        for bad in ["", "050472", "05047", "0504711"] {
            assert_eq!(secret.step_of(bad, None, at(now)).unwrap(), None, "{bad}");
        }
    }

    #[test]
    fn an_app_is_told_by_address_and_by_picture() {
        let secret = TotpSecret::random();
        let uri = secret.uri("ada@example.com").unwrap();
        assert!(
            uri.starts_with("otpauth://totp/Updraft:ada%40example.com?"),
            "{uri}"
        );
        assert!(uri.contains(secret.expose().expose_secret()), "{uri}");
        let picture = secret.picture("a:d<a>@example.com").unwrap();
        assert!(picture.starts_with("<svg") && !picture.contains("example"));
    }

    #[test]
    fn recovery_codes_are_known_however_they_are_typed() {
        let made = RecoveryCodes::random();
        assert_eq!((made.codes.len(), made.hashes.len()), (10, 10));
        let typed = made.codes[3].replace('-', " ").to_uppercase();
        assert_eq!(recovery_hash(&typed), made.hashes[3]);
        assert_eq!(made.codes[0].len(), 23);
    }
}
