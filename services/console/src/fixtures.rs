//! Made-up clusters, people and operations: for the tests of pages and for the preview.

#[cfg(test)]
mod accessible;
mod clusters;
mod people;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use crate::frame::{Frame, Here, Theme, Viewer};

#[cfg(test)]
pub(crate) use accessible::assert_accessible;
pub(crate) use clusters::{boot_log, cluster, clusters, events, nodes, operation, options, overview_in};
#[cfg(test)]
pub(crate) use clusters::{failed, overview, services};
#[cfg(test)]
pub(crate) use people::rules;
pub(crate) use people::{audit, explanation, known, people, sessions};

/// What the overview can look like.
#[cfg(test)]
pub(crate) const SCENES: [&str; 5] = ["starting", "running", "degraded", "failed", "stopped"];

/// Stands still in tests.
pub(crate) fn now() -> DateTime<Utc> {
    if cfg!(test) {
        Utc.timestamp_opt(1_795_200_000, 0).single().unwrap_or_default()
    } else {
        Utc::now()
    }
}

fn earlier(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub(crate) fn frame() -> Frame {
    let viewer = Viewer {
        name: "Ada Winter".into(),
        email: "ada@example.com".into(),
        tenant: "Example Analytics".into(),
        owner: true,
        operator: true,
        held_after_restore: false,
        elsewhere: true,
    };
    Frame {
        nonce: "bm9uY2U".into(),
        theme: Theme::System,
        viewer: Some(viewer),
        here: Here::Clusters,
        path: "/clusters".into(),
    }
}

pub(crate) fn member_frame() -> Frame {
    let mut frame = frame();
    if let Some(viewer) = &mut frame.viewer {
        viewer.owner = false;
        viewer.operator = false;
        viewer.elsewhere = false;
    }
    frame
}

#[cfg(test)]
pub(crate) fn stranger_frame() -> Frame {
    Frame {
        viewer: None,
        here: Here::Elsewhere,
        ..frame()
    }
}
