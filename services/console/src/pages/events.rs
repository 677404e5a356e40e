//! The event log as people read it.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};
use updraft_api::rest::{EventView, Severity};

use crate::icon::{Icon, icon};
use crate::text::{Moment, Prose};
use crate::tone::Tone;

#[derive(Template)]
#[template(path = "pages/events.html")]
pub(crate) struct Events {
    pub(crate) events: Vec<EventLine>,
}

pub(crate) struct EventLine {
    pub(crate) at: Moment,
    pub(crate) tone: Tone,
    pub(crate) icon: Icon,
    pub(crate) severity: &'static str,
    pub(crate) place: Option<String>,
    pub(crate) message: Prose,
    pub(crate) kind: String,
}

impl HtmlSafe for Events {}

// === impl Events ===

impl Events {
    pub(crate) fn new(events: &[EventView], now: DateTime<Utc>) -> Self {
        Self {
            events: events.iter().map(|event| EventLine::new(event, now)).collect(),
        }
    }
}

impl EventLine {
    fn new(event: &EventView, now: DateTime<Utc>) -> Self {
        let (tone, name, severity) = match event.severity {
            Severity::Info => (Tone::Quiet, "info", "Info"),
            Severity::Warning => (Tone::Warn, "warn", "Warning"),
            Severity::Error => (Tone::Bad, "cross", "Error"),
        };
        let place = match (&event.node_label, event.service) {
            (Some(node), Some(service)) => Some(format!("{node} · {service}")),
            (Some(node), None) => Some(node.clone()),
            (None, Some(service)) => Some(service.to_string()),
            (None, None) => None,
        };
        Self {
            at: Moment::new(event.at, now),
            tone,
            icon: icon(name),
            severity,
            place,
            message: Prose::from(event.message.as_str()),
            kind: event.kind.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::Events;
    use crate::fixtures;

    #[test]
    fn hostile_event_text_stays_text() {
        let mut events = fixtures::events();
        events[0].message = "<script>alert(1)</script>".into();
        let html = Events::new(&events, fixtures::now()).render().unwrap();
        assert!(!html.contains("<script>"), "{html}");
    }
}
