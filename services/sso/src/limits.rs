//! How often one may try a password: per account against guessing, per address against spraying.
//!
//! A try is counted before it is judged, so that many at once are no way around; one that turns out right is forgiven
//! to its account, because nobody guesses there, and stays counted for its address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    by_account: Accounts,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    checks: AtomicU32,
}

/// Tries per account that can be forgiven, which `governor` does not do. By the same algorithm (GCRA): of each account
/// the time at which its whole burst is there again.
#[derive(Debug)]
struct Accounts {
    full_at: Mutex<HashMap<[u8; 32], Instant>>,
    refill: Duration,
    burst: u32,
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

impl SignInQuota {
    /// For sign-ins that begin here and go on at a provider, which is the account then: 500 of a provider, where a whole
    /// company comes at nine o'clock, and then 10 each second; 100 from an address, which may be an office, and then 2
    /// each second.
    #[must_use]
    pub fn through_provider() -> Self {
        Self {
            account_burst: NonZeroU32::MIN.saturating_add(499),
            account_refill: Duration::from_millis(100),
            address_burst: NonZeroU32::MIN.saturating_add(99),
            address_refill: Duration::from_millis(500),
        }
    }
}

// === impl SignInLimits ===

impl SignInLimits {
    #[must_use]
    pub fn new(quota: SignInQuota) -> Self {
        Self {
            by_account: Accounts {
                full_at: Mutex::default(),
                refill: quota.account_refill,
                burst: quota.account_burst.get(),
            },
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
            self.by_account.tidy(Instant::now());
            self.by_address.retain_recent();
        }
        let wait = |early: governor::NotUntil<_>| early.wait_time_from(self.clock.now());
        self.by_address.check_key(&network(address)).map_err(wait)?;
        self.by_account.check(sha256(account.as_bytes()), Instant::now())
    }

    /// The account's owner was there: its tries are forgotten, those of the address are not.
    pub fn forgive(&self, account: &str) {
        self.by_account.full_at().remove(&sha256(account.as_bytes()));
    }
}

// === impl Accounts ===

impl Accounts {
    fn check(&self, account: [u8; 32], now: Instant) -> Result<(), Duration> {
        let mut all = self.full_at();
        let full_at = all.get(&account).copied().unwrap_or(now).max(now) + self.refill;
        let room = self.refill * self.burst;
        match (full_at - now).checked_sub(room) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                all.insert(account, full_at);
                Ok(())
            }
        }
    }

    fn tidy(&self, now: Instant) {
        self.full_at().retain(|_, full_at| *full_at > now);
    }

    fn full_at(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_right_password_gives_the_account_its_burst_back_and_the_address_nothing() {
        let limits = limits();
        for _ in 0..2 {
            assert!(limits.check("ada", address(1)).is_ok());
            assert!(limits.check("ada", address(1)).is_ok());
            limits.forgive("ada");
        }
        assert!(limits.check("ada", address(1)).is_err(), "four from one address");
        assert!(limits.check("ada", address(2)).is_ok());
    }

    #[test]
    fn tries_come_back_one_by_one() {
        let accounts = super::Accounts {
            full_at: std::sync::Mutex::default(),
            refill: Duration::from_secs(10),
            burst: 2,
        };
        let start = std::time::Instant::now();
        let at = |seconds| accounts.check([1; 32], start + Duration::from_secs(seconds));
        assert_eq!((at(0), at(0)), (Ok(()), Ok(())));
        assert_eq!(at(0), Err(Duration::from_secs(10)));
        assert_eq!(at(7), Err(Duration::from_secs(3)));
        assert_eq!((at(10), at(10)), (Ok(()), Err(Duration::from_secs(10))));
        accounts.tidy(start + Duration::from_secs(60));
        assert!(accounts.full_at().is_empty());
    }

    #[test]
    fn addresses_of_one_subscriber_count_as_one() {
        let at = |text: &str| network(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
