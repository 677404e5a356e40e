//! How many of a process's places the looks at one account's clusters may take.
//!
//! A look waits for its account's AWS, for up to half a minute where that hangs. So a tenant's account has a third of the places, and
//! all that do not answer have a third between them: whoever answers always finds one. The installation's own may have
//! all while it answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use updraft_model::NodeAccount;
use updraft_store::leases::Full;

pub(super) struct Shares {
    of_one: usize,
    held: Mutex<HashMap<NodeAccount, usize>>,
}

/// Given back when dropped.
pub(super) struct Share {
    account: NodeAccount,
    shares: Arc<Shares>,
}

// === impl Shares ===

impl Shares {
    pub(super) fn new(places: usize) -> Self {
        Self {
            of_one: (places / 3).max(1),
            held: Mutex::default(),
        }
    }

    pub(super) fn take(self: &Arc<Self>, account: NodeAccount) -> Share {
        *self.held().entry(account).or_default() += 1;
        Share {
            account,
            shares: Arc::clone(self),
        }
    }

    /// Whose clusters have to wait, where these accounts do not answer.
    pub(super) fn full(&self, silent: &HashSet<NodeAccount>) -> Full {
        let held = self.held();
        let of = |account: &NodeAccount| held.get(account).copied().unwrap_or_default();
        let of_silent: usize = silent.iter().map(of).sum();
        let crowded = silent.iter().filter(|_| of_silent >= self.of_one);
        let busy = held
            .keys()
            .filter(|account| **account != NodeAccount::Installation && of(account) >= self.of_one);
        let mut full = Full::default();
        for account in crowded.chain(busy).collect::<HashSet<_>>() {
            match account {
                NodeAccount::Installation => full.installation = true,
                NodeAccount::Tenant(id) => full.tenants.push(*id),
            }
        }
        full
    }

    fn held(&self) -> MutexGuard<'_, HashMap<NodeAccount, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        if let Some(count) = held.get_mut(&self.account) {
            *count = count.saturating_sub(1);
        }
        held.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::AwsAccountId;
    use uuid::Uuid;

    use super::*;

    const OWN: NodeAccount = NodeAccount::Installation;

    fn tenant(number: u128) -> NodeAccount {
        NodeAccount::Tenant(AwsAccountId(Uuid::from_u128(number)))
    }

    fn is_full(shares: &Shares, silent: &[NodeAccount], account: NodeAccount) -> bool {
        let full = shares.full(&silent.iter().copied().collect());
        match account {
            NodeAccount::Installation => full.installation,
            NodeAccount::Tenant(id) => full.tenants.contains(&id),
        }
    }

    /// Takes places as the loop does: until there is none for this account.
    fn take_all(
        shares: &Arc<Shares>,
        silent: &[NodeAccount],
        account: NodeAccount,
        left: usize,
    ) -> Vec<Share> {
        let free = || (!is_full(shares, silent, account)).then(|| shares.take(account));
        std::iter::from_fn(free).take(left).collect()
    }

    #[test]
    fn one_account_that_hangs_has_a_third_and_all_that_do_have_no_more() {
        let shares = Arc::new(Shares::new(24));
        let before = take_all(&shares, &[], tenant(1), 24);
        assert_eq!(before.len(), 8, "before it is known that it hangs");
        let silent = [tenant(1), tenant(2), OWN];
        for account in silent {
            assert_eq!(take_all(&shares, &silent, account, 16).len(), 0);
        }
        assert_eq!(take_all(&shares, &silent, tenant(3), 16).len(), 8);
        drop(before);
        assert!(!is_full(&shares, &silent, tenant(2)));
        assert_eq!(take_all(&shares, &silent, OWN, 24).len(), 8);
    }

    #[test]
    fn the_installations_own_account_has_all_places_while_it_answers() {
        let shares = Arc::new(Shares::new(24));
        assert_eq!(take_all(&shares, &[], OWN, 24).len(), 24);
    }
}
