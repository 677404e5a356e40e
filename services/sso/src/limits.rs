//! How often one may try a password: per account against guessing, per address against spraying.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::token::sha256;

/// After so many checks, keys that had time to recover are forgotten.
const TIDY_EVERY: u32 = 1_024;

/// A burst, and the time after which one more try is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInQuota {
    pub account_burst: NonZeroU32,
    pub account_refill: Duration,
    pub address_burst: NonZeroU32,
    pub address_refill: Duration,
}

/// Counts tries in memory.
#[derive(Debug)]
pub struct SignInLimits {
    by_account: DefaultKeyedRateLimiter<[u8; 32]>,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    checks: AtomicU32,
}

// === impl SignInQuota ===

impl Default for SignInQuota {
    /// 10 tries of an account and then one each 10 s; 50 from an address and then one each second.
    fn default() -> Self {
        Self {
            account_burst: NonZeroU32::MIN.saturating_add(9),
            account_refill: Duration::from_secs(10),
            address_burst: NonZeroU32::MIN.saturating_add(49),
            address_refill: Duration::from_secs(1),
        }
    }
}

// === impl SignInLimits ===

impl SignInLimits {
    #[must_use]
    pub fn new(quota: SignInQuota) -> Self {
        Self {
            by_account: RateLimiter::keyed(rate(quota.account_refill, quota.account_burst)),
            by_address: RateLimiter::keyed(rate(quota.address_refill, quota.address_burst)),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one try.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub fn check(&self, account: &str, address: IpAddr) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.by_account.retain_recent();
            self.by_address.retain_recent();
        }
        let wait = |early: governor::NotUntil<_>| early.wait_time_from(self.clock.now());
        self.by_address.check_key(&network(address)).map_err(wait)?;
        self.by_account
            .check_key(&sha256(account.as_bytes()))
            .map_err(wait)
    }
}

fn rate(refill: Duration, burst: NonZeroU32) -> Quota {
    let fallback = Quota::per_second(NonZeroU32::MIN);
    Quota::with_period(refill).unwrap_or(fallback).allow_burst(burst)
}

/// What counts as one address: one subscriber has a whole IPv6 /64.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::{SignInLimits, SignInQuota, network};

    fn limits() -> SignInLimits {
        SignInLimits::new(SignInQuota {
            account_burst: NonZeroU32::new(2).unwrap(),
            account_refill: Duration::from_secs(3600),
            address_burst: NonZeroU32::new(4).unwrap(),
            address_refill: Duration::from_secs(3600),
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_account_is_limited_from_wherever_it_is_tried() {
        let limits = limits();
        assert!(limits.check("ada@example.com", address(1)).is_ok());
        assert!(limits.check("ada@example.com", address(2)).is_ok());
        let wait = limits.check("ada@example.com", address(3)).unwrap_err();
        assert!(wait > Duration::from_secs(3000));
        assert!(limits.check("bob@example.com", address(3)).is_ok());
    }

    #[test]
    fn an_address_is_limited_whichever_account_it_tries() {
        let limits = limits();
        for account in ["a", "b", "c", "d"] {
            assert!(limits.check(account, address(1)).is_ok());
        }
        assert!(limits.check("e", address(1)).is_err());
        assert!(limits.check("e", address(2)).is_ok());
    }

    #[test]
    fn addresses_of_one_subscriber_count_as_one() {
        let at = |text: &str| network(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
