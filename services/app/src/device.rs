//! Signing in on a device without a browser (RFC 8628): it shows a code, a person who is signed in types it in.
//!
//! The session is made when the device asks for it, from the one that approved: a person removed in between gets none,
//! and a session that a provider vouched for has no longer-lived child. A user code is short, so tries are counted per
//! person and per address; a device code is 256 bits and needs no counting.

use std::net::IpAddr;

use chrono::{DateTime, Duration, Utc};
use updraft_api::device::{DeviceAuthorized, DeviceError, DeviceToken};
use updraft_authz::{Actor, Credential};
use updraft_model::SessionId;
use updraft_sso::{SessionToken, random_bits, random_code, sha256};
use updraft_store::device_authorizations::{self, DeviceState, NewDevice, Poll, WaitingDevice};
use updraft_store::{StoreError, sessions};
use uuid::Uuid;

use crate::audit::{Change, Target, attempt};
use crate::authenticate::actor_again;
use crate::error::{AppError, Resource};
use crate::{App, access};

/// No vowels, so no words; nothing that looks like another letter's (RFC 8628, section 6.1).
const CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE_LENGTH: usize = 8;
const LIFETIME: Duration = Duration::minutes(10);
/// Seconds between two polls.
const INTERVAL: u64 = 5;
const LONGEST_CLIENT: usize = 100;

impl App {
    /// A device asks; it is told what to show.
    ///
    /// # Errors
    /// [`AppError::TooManyTries`] from this address; [`AppError::Invalid`] on `client_id`.
    pub async fn authorize_device(
        &self,
        client_name: &str,
        from: IpAddr,
    ) -> Result<DeviceAuthorized, AppError> {
        self.device_limits()
            .check(&format!("device/{from}"), from)
            .map_err(|retry_after| AppError::TooManyTries { retry_after })?;
        let client_name = checked_client(client_name)?;
        let (device_code, user_code) = (random_code(), user_code(&random_bits()));
        let device = NewDevice {
            device_hash: sha256(device_code.as_bytes()),
            user_code: &user_code,
            client_name: &client_name,
            address: Some(&from.to_string()),
            expires_at: self.now() + LIFETIME,
        };
        let mut connection = self.store().connection().await?;
        device_authorizations::insert(&mut connection, &device).await?;
        let (front, back) = user_code.split_at(CODE_LENGTH / 2);
        let shown = format!("{front}-{back}");
        let page = format!("{}/device", self.config().console_url.trim_end_matches('/'));
        Ok(DeviceAuthorized {
            device_code,
            verification_uri_complete: format!("{page}?code={shown}"),
            verification_uri: page,
            user_code: shown,
            expires_in: LIFETIME.num_seconds().unsigned_abs(),
            interval: INTERVAL,
        })
    }

    /// Which device waits for this code. Counts as a try.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::TooManyTries`]; [`AppError::NeedsSession`].
    pub async fn find_device(
        &self,
        actor: &Actor,
        typed: &str,
        from: IpAddr,
    ) -> Result<WaitingDevice, AppError> {
        access::session(actor, "sign a device in")?;
        let code = self.device_code(actor, typed, from)?;
        let mut connection = self.store().connection().await?;
        let found = device_authorizations::find_waiting(&mut connection, &code, self.now()).await?;
        found.ok_or(AppError::NotFound(Resource::Device))
    }

    /// Lets the device in as this person, or refuses it; either is final. Counts as a try.
    ///
    /// # Errors
    /// As [`App::find_device`].
    pub async fn decide_device(
        &self,
        actor: &Actor,
        typed: &str,
        approved: bool,
        from: IpAddr,
    ) -> Result<(), AppError> {
        let attempt = attempt(if approved { "device.approve" } else { "device.deny" });
        let session = access::session(actor, "sign a device in")?;
        let code = self.device_code(actor, typed, from)?;
        let mut tx = self.store().begin().await?;
        let by = (actor.tenant, actor.user, session);
        let client = device_authorizations::decide(&mut tx, &code, by, approved, self.now())
            .await?
            .ok_or(AppError::NotFound(Resource::Device))?;
        attempt
            .on(Target::new("device", &client, None))
            .done(&mut tx, actor, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// A device asks whether it was let in; when it was, it gets its session, once.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn poll_device(
        &self,
        device_code: &str,
        from: IpAddr,
        user_agent: Option<&str>,
    ) -> Result<Result<DeviceToken, DeviceError>, AppError> {
        let attempt = attempt("sign_in.device");
        let (now, hash) = (self.now(), sha256(device_code.as_bytes()));
        let mut tx = self.store().begin().await?;
        let Some(poll) = device_authorizations::poll(&mut tx, &hash, now).await? else {
            return Ok(Err(DeviceError::InvalidGrant));
        };
        let parent = match answer(poll, now) {
            Ok(parent) => parent,
            Err(error) => {
                tx.commit().await.map_err(StoreError::from)?;
                return Ok(Err(error));
            }
        };
        let (token, id) = (SessionToken::random(), SessionId(Uuid::now_v7()));
        let until = now + self.config().session_lifetime;
        let until = sessions::insert_like(&mut tx, parent, id, &token.hash(), until, now).await?;
        device_authorizations::use_up(&mut tx, &hash).await?;
        let Some(until) = until else {
            tx.commit().await.map_err(StoreError::from)?;
            return Ok(Err(DeviceError::AccessDenied));
        };
        let address = from.to_string();
        sessions::set_origin(&mut tx, id, Some(&address), user_agent).await?;
        let by = actor_again(&mut tx, Credential::Session(id), now).await?;
        attempt
            .done(&mut tx, &by.ok_or(AppError::NotSignedIn)?, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Ok(DeviceToken {
            access_token: token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: (until - now).num_seconds().unsigned_abs(),
        }))
    }

    /// What was typed, as it is stored. Each look is counted, lest codes are guessed.
    fn device_code(&self, actor: &Actor, typed: &str, from: IpAddr) -> Result<String, AppError> {
        self.device_limits()
            .check(&actor.user.to_string(), from)
            .map_err(|retry_after| AppError::TooManyTries { retry_after })?;
        parsed_code(typed).ok_or(AppError::NotFound(Resource::Device))
    }
}

/// The session that approved, or why there is none yet. Pure.
fn answer(poll: Poll, now: DateTime<Utc>) -> Result<SessionId, DeviceError> {
    let interval = Duration::seconds(i64::try_from(INTERVAL).unwrap_or(i64::MAX));
    if matches!(poll.state, DeviceState::Used) {
        return Err(DeviceError::InvalidGrant);
    }
    if poll.expires_at <= now {
        return Err(DeviceError::ExpiredToken);
    }
    match poll.state {
        DeviceState::Approved(session) => Ok(session),
        DeviceState::Denied => Err(DeviceError::AccessDenied),
        DeviceState::Used => Err(DeviceError::InvalidGrant),
        DeviceState::Pending if poll.polled_at.is_some_and(|before| now - before < interval) => {
            Err(DeviceError::SlowDown)
        }
        DeviceState::Pending => Err(DeviceError::AuthorizationPending),
    }
}

/// 8 of 32 random bytes become letters: of 256 values, the 240 that divide evenly are taken.
fn user_code(bits: &[u8; 32]) -> String {
    let letters = bits.iter().filter(|byte| **byte < 240);
    let letter = |byte: &u8| char::from(CODE_LETTERS[usize::from(*byte) % CODE_LETTERS.len()]);
    let code: String = letters.take(CODE_LENGTH).map(letter).collect();
    format!("{code:B<CODE_LENGTH$}")
}

/// However it was typed: in small letters, with or without the hyphen.
fn parsed_code(typed: &str) -> Option<String> {
    let code: String = typed
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .take(CODE_LENGTH + 1)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let good = code.len() == CODE_LENGTH && code.bytes().all(|b| CODE_LETTERS.contains(&b));
    good.then_some(code)
}

fn checked_client(name: &str) -> Result<String, AppError> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=LONGEST_CLIENT).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(AppError::invalid(
        "client_id",
        "say what asks, in 1 to 100 characters: `updraft on my-laptop`",
    ))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration, Utc};
    use updraft_api::device::DeviceError;
    use updraft_model::SessionId;
    use updraft_store::device_authorizations::{DeviceState, Poll};
    use uuid::Uuid;

    use super::{answer, parsed_code, user_code};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn poll(state: DeviceState, seconds_ago: Option<i64>) -> Poll {
        Poll {
            state,
            expires_at: NOW + Duration::minutes(1),
            polled_at: seconds_ago.map(|ago| NOW - Duration::seconds(ago)),
        }
    }

    #[test]
    fn a_code_is_eight_consonants_however_it_is_typed() {
        let code = user_code(&std::array::from_fn(|index| u8::try_from(index * 8).unwrap()));
        assert_eq!(code.len(), 8);
        let small = format!("{} - {}", &code[..4], &code[4..]).to_lowercase();
        assert_eq!(parsed_code(&small).as_deref(), Some(code.as_str()));
        assert_eq!(user_code(&[250; 32]).len(), 8);
        for bad in ["", "BCDF", "AEIOUAEI", "BCDFGHJKL", "BCDFGHJ1", "ßßßßßßßß"] {
            assert_eq!(parsed_code(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_device_is_told_what_the_rfc_says() {
        let session = SessionId(Uuid::nil());
        for (poll, told) in [
            (
                poll(DeviceState::Pending, None),
                Err(DeviceError::AuthorizationPending),
            ),
            (
                poll(DeviceState::Pending, Some(5)),
                Err(DeviceError::AuthorizationPending),
            ),
            (poll(DeviceState::Pending, Some(4)), Err(DeviceError::SlowDown)),
            (poll(DeviceState::Approved(session), Some(1)), Ok(session)),
            (poll(DeviceState::Denied, None), Err(DeviceError::AccessDenied)),
            (poll(DeviceState::Used, None), Err(DeviceError::InvalidGrant)),
        ] {
            assert_eq!(answer(poll, NOW), told, "{poll:?}");
            let late = answer(poll, NOW + Duration::minutes(2));
            let used = poll.state == DeviceState::Used;
            let expected = if used {
                DeviceError::InvalidGrant
            } else {
                DeviceError::ExpiredToken
            };
            assert_eq!(late, Err(expected), "{poll:?}");
        }
    }
}
