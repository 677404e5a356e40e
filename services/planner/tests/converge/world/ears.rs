//! What one control heard of agents, in its memory only, and what it knows that others heard.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::NodeId;
use updraft_planner::Report;

use super::bugs::Bug;
use super::records::Records;
use super::row::Row;

pub(crate) struct Ears {
    listening_since: DateTime<Utc>,
    heard: HashMap<NodeId, (DateTime<Utc>, Report)>,
    elsewhere: HashMap<NodeId, DateTime<Utc>>,
}

// === impl Ears ===

impl Ears {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            listening_since: now,
            heard: HashMap::new(),
            elsewhere: HashMap::new(),
        }
    }

    /// Silence from before it slept counts no more.
    pub(crate) fn listen_anew(&mut self, now: DateTime<Utc>) {
        self.listening_since = now;
    }

    /// True when it is another report than the last.
    pub(crate) fn hear(&mut self, node: NodeId, report: &Report, now: DateTime<Utc>) -> bool {
        let before = self.heard.insert(node, (now, report.clone()));
        before.is_none_or(|(_, last)| last != *report)
    }

    pub(crate) fn forget(&mut self, node: NodeId) {
        self.heard.remove(&node);
    }

    /// What it tells the others; reports that no record has are taken as new again.
    pub(crate) fn tell(&mut self, records: &Records) -> Vec<(NodeId, DateTime<Utc>)> {
        self.heard.retain(|node, _| {
            records
                .live_rows()
                .any(|row| row.id == *node && row.report.is_some())
        });
        self.heard.iter().map(|(node, (at, _))| (*node, *at)).collect()
    }

    pub(crate) fn learn(&mut self, heard: &[(NodeId, DateTime<Utc>)]) {
        for (node, at) in heard {
            let known = self.elsewhere.entry(*node).or_insert(*at);
            *known = (*known).max(*at);
        }
    }

    /// Its memory while it is newer than the record, and only of a node that was heard since it was last started.
    pub(crate) fn report(&self, row: &Row, bug: Option<Bug>) -> Option<Report> {
        let own = self.heard.get(&row.id);
        if bug == Some(Bug::TrustsItsMemoryMost) {
            return own
                .map(|(_, report)| report.clone())
                .or_else(|| row.report.clone());
        }
        let recorded_at = row.reported_at?;
        own.filter(|(at, _)| *at >= recorded_at)
            .map(|(_, report)| report.clone())
            .or_else(|| row.report.clone())
    }

    pub(crate) fn silence(&self, row: &Row, now: DateTime<Utc>, bug: Option<Bug>) -> TimeDelta {
        let own = self.heard.get(&row.id).map(|(at, _)| *at);
        let elsewhere = self.elsewhere.get(&row.id).copied();
        let since = [
            Some(self.listening_since),
            row.launched_at,
            own,
            elsewhere.filter(|_| bug != Some(Bug::HearsWithItsOwnEarsOnly)),
            row.reported_at
                .filter(|_| bug != Some(Bug::OverlooksRecordedReports)),
        ];
        since
            .into_iter()
            .flatten()
            .max()
            .map_or(TimeDelta::zero(), |at| now - at)
    }
}
