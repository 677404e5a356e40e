//! Decides whether a call is tried again, and after how long. Pure: no clock, no randomness.

use std::time::Duration;

use crate::ClientError;

/// Tries of one call, the first included.
pub const MAX_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A server that asks for a longer pause is believed, but its caller is told instead of kept waiting.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What repeating a call could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Nothing: it reads, is idempotent by itself, or carries an idempotency key.
    Safe,
    /// It must not be repeated once the server may have seen it.
    OnlyUnsent,
}

/// The pause before try `attempt + 1`, or `None` to give up. `jitter` is between 0 and 1.
pub(crate) fn pause(
    repeat: Repeat,
    error: &ClientError,
    attempt: u32,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Option<Duration> {
    let allowed = match repeat {
        Repeat::Safe => error.is_transient(),
        Repeat::OnlyUnsent => matches!(error, ClientError::Connect { .. }),
    };
    if !allowed || attempt >= MAX_ATTEMPTS {
        return None;
    }
    let growing = FIRST_PAUSE * 3_u32.saturating_pow(attempt.saturating_sub(1));
    let wanted = retry_after.unwrap_or_else(|| growing.mul_f64(0.5 + jitter.clamp(0.0, 1.0)));
    (wanted <= LONGEST_PAUSE).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use updraft_api::Problem;

    fn answered(status: u16) -> ClientError {
        let text = String::new;
        ClientError::Problem(Box::new(Problem {
            kind: text(),
            title: text(),
            status,
            detail: text(),
            field: None,
            request_id: None,
        }))
    }

    #[test]
    fn an_unavailable_server_is_asked_again_with_growing_pauses() {
        let pauses: Vec<_> = (1..=MAX_ATTEMPTS)
            .map(|n| pause(Repeat::Safe, &answered(503), n, None, 0.5))
            .collect();
        let expected = [Some(200), Some(600), Some(1800), None];
        assert_eq!(pauses, expected.map(|ms| ms.map(Duration::from_millis)));
    }

    #[test]
    fn a_refusal_is_final() {
        for status in [400, 401, 403, 404, 409, 412, 422, 500] {
            assert_eq!(
                pause(Repeat::Safe, &answered(status), 1, None, 0.5),
                None,
                "{status}"
            );
        }
    }

    #[test]
    fn a_write_without_key_is_not_repeated_after_an_answer() {
        assert_eq!(pause(Repeat::OnlyUnsent, &answered(503), 1, None, 0.5), None);
    }

    #[test]
    fn a_server_that_names_a_pause_is_believed_unless_it_is_long() {
        let asked = |seconds| {
            pause(
                Repeat::Safe,
                &answered(429),
                1,
                Some(Duration::from_secs(seconds)),
                0.5,
            )
        };
        assert_eq!(asked(2), Some(Duration::from_secs(2)));
        assert_eq!(asked(3600), None);
    }
}
