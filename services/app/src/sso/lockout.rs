//! The last working way in can't be locked out. Pure but for the lock it begins with.

use updraft_model::ProviderId;
use updraft_store::ways_in::OwnersWays;

use super::SsoError;

/// Whether owners can still sign in when this provider no longer signs anybody in.
pub(super) fn may_lose(ways: &OwnersWays, provider: ProviderId, what: &'static str) -> Result<(), SsoError> {
    let used = ways.providers.contains(&provider);
    let another = ways.password || ways.providers.iter().any(|other| *other != provider);
    if used && !another {
        return Err(SsoError::LastWayIn { what });
    }
    Ok(())
}

/// Whether owners can still sign in without passwords.
pub(super) fn may_lose_passwords(ways: &OwnersWays) -> Result<(), SsoError> {
    if ways.providers.is_empty() {
        return Err(SsoError::NoOwnerThere);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use updraft_model::ProviderId;
    use updraft_store::ways_in::OwnersWays;
    use uuid::Uuid;

    use super::{may_lose, may_lose_passwords};

    const ONE: ProviderId = ProviderId(Uuid::from_u128(1));
    const OTHER: ProviderId = ProviderId(Uuid::from_u128(2));

    fn ways(password: bool, providers: &[ProviderId]) -> OwnersWays {
        OwnersWays {
            password,
            providers: providers.to_vec(),
        }
    }

    #[test]
    fn a_provider_that_is_the_owners_only_way_stays() {
        assert!(may_lose(&ways(false, &[ONE]), ONE, "Disabling it").is_err());
        for fine in [
            ways(true, &[ONE]),
            ways(false, &[ONE, OTHER]),
            ways(false, &[OTHER]),
        ] {
            assert!(may_lose(&fine, ONE, "Disabling it").is_ok(), "{fine:?}");
        }
    }

    #[test]
    fn passwords_stay_until_an_owner_came_another_way() {
        assert!(may_lose_passwords(&ways(true, &[])).is_err());
        assert!(may_lose_passwords(&ways(true, &[ONE])).is_ok());
    }
}
