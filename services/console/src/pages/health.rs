//! Health by service, over all nodes.

use askama::Template;
use askama::filters::HtmlSafe;
use updraft_api::rest::ServiceView;
use updraft_model::{ServiceName, ServiceState};

use crate::text::count;
use crate::tone::Pill;

/// Health by service, over all nodes.
#[derive(Template)]
#[template(path = "pages/health.html")]
pub(crate) struct Health {
    services: Vec<ServiceHealth>,
}

struct ServiceHealth {
    name: ServiceName,
    worst: Pill,
    healthy: usize,
    total: usize,
    nodes: String,
    /// `3 restarts`, when there were any.
    restarts: Option<String>,
    detail: Option<String>,
}

impl HtmlSafe for Health {}

// === impl Health ===

impl Health {
    pub(crate) fn new(services: &[ServiceView]) -> Self {
        let summaries = ServiceName::ALL
            .iter()
            .filter_map(|name| ServiceHealth::of(*name, services));
        Self {
            services: summaries.collect(),
        }
    }
}

impl ServiceHealth {
    fn of(name: ServiceName, services: &[ServiceView]) -> Option<Self> {
        let mine: Vec<_> = services
            .iter()
            .filter(|service| service.status.name == name)
            .collect();
        let worst = mine.iter().max_by_key(|service| badness(service.status.state))?;
        let nodes: Vec<_> = mine.iter().map(|service| service.node_label.as_str()).collect();
        let restarts = mine.iter().map(|service| service.status.restarts as usize).sum();
        Some(Self {
            name,
            worst: Pill::of_service(worst.status.state),
            healthy: mine
                .iter()
                .filter(|service| service.status.state == ServiceState::Healthy)
                .count(),
            total: mine.len(),
            nodes: nodes.join(", "),
            restarts: Some(restarts)
                .filter(|n| *n > 0)
                .map(|n| count(n, "restart", "restarts")),
            detail: worst
                .status
                .detail
                .clone()
                .filter(|_| worst.status.state != ServiceState::Healthy),
        })
    }
}

fn badness(state: ServiceState) -> u8 {
    match state {
        ServiceState::Healthy => 0,
        ServiceState::Stopped => 1,
        ServiceState::Waiting => 2,
        ServiceState::Starting => 3,
        ServiceState::Stopping => 4,
        ServiceState::BackingOff => 5,
        ServiceState::Unhealthy => 6,
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::ServiceState;

    use super::Health;
    use crate::fixtures;

    #[test]
    fn the_worst_service_speaks_for_its_kind() {
        let mut services = fixtures::services();
        services[0].status.state = ServiceState::BackingOff;
        services[0].status.detail = Some("exit code 1".into());
        let html = Health::new(&services).render().unwrap();
        assert!(
            html.contains("Backing off") && html.contains("exit code 1"),
            "{html}"
        );
    }
}
