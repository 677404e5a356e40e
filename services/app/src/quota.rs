//! Whether a tenant may have this much more.

use updraft_store::clusters::Usage;
use updraft_store::tenants::Quota;

use crate::AppError;

/// `used` is what the tenant has without the cluster in question.
pub(crate) fn check(quota: Quota, used: Usage, wanted: Usage) -> Result<(), AppError> {
    within("clusters", quota.max_clusters, used.clusters, wanted.clusters)?;
    within("nodes", quota.max_nodes, used.nodes, wanted.nodes)
}

fn within(what: &'static str, limit: u32, used: u32, wanted: u32) -> Result<(), AppError> {
    if wanted == 0 || used.saturating_add(wanted) <= limit {
        return Ok(());
    }
    Err(AppError::QuotaExceeded {
        what,
        limit,
        used,
        wanted,
    })
}

#[cfg(test)]
mod tests {
    use updraft_store::clusters::Usage;
    use updraft_store::tenants::Quota;

    use super::check;

    const QUOTA: Quota = Quota {
        max_clusters: 2,
        max_nodes: 6,
    };

    #[test]
    fn a_quota_may_be_used_up_but_not_exceeded() {
        let used = Usage {
            clusters: 1,
            nodes: 3,
        };
        assert!(
            check(
                QUOTA,
                used,
                Usage {
                    clusters: 1,
                    nodes: 3
                }
            )
            .is_ok()
        );
        assert!(
            check(
                QUOTA,
                used,
                Usage {
                    clusters: 2,
                    nodes: 0
                }
            )
            .is_err()
        );
        assert!(
            check(
                QUOTA,
                used,
                Usage {
                    clusters: 1,
                    nodes: 4
                }
            )
            .is_err()
        );
    }

    #[test]
    fn who_is_over_may_still_do_what_needs_nothing() {
        let over = Usage {
            clusters: 5,
            nodes: 9,
        };
        assert!(
            check(
                QUOTA,
                over,
                Usage {
                    clusters: 0,
                    nodes: 0
                }
            )
            .is_ok()
        );
    }
}
