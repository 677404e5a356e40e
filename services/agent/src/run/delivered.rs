//! What is told of the node's DAGs, in events and in the report.

use chrono::Utc;
use updraft_api::agent::{PluginsReport, PublishedVersion, SourceState};
use updraft_api::rest::Severity;

use super::happening::Happening;
use super::node::Node;
use crate::dags::{DagEvent, Digest, plugins, requirements};

impl Node {
    pub(super) fn dags(&mut self, event: DagEvent) {
        match event {
            DagEvent::Live(digest) => self.dags_live(&digest),
            DagEvent::Published(version) => self.dags_published(&version),
            DagEvent::Parsed(version) => self.dag_report.parsed = Some(version),
            DagEvent::Source(state) => self.dag_source(state),
            DagEvent::Synced(sync) => self.dag_report.synced = Some(sync),
            DagEvent::Failed(reason) => {
                let message = format!(
                    "The DAGs could not be brought up to date; the last good version serves: {reason}"
                );
                self.event(None, "dag_sync_failed", Severity::Error, &message);
            }
            DagEvent::Recovered => {
                let message = "DAGs are brought up to date again.";
                self.event(None, "dag_sync_recovered", Severity::Info, message);
            }
        }
    }

    fn dags_live(&mut self, digest: &Digest) {
        self.read_requirements(digest);
        self.read_plugins(digest);
        let digest = digest.to_string();
        self.since.dags_live.get_or_insert_with(Utc::now);
        if self.dag_version.as_ref() == Some(&digest) {
            self.dag_report.live_since.get_or_insert_with(Utc::now);
            return;
        }
        let message = format!("DAG version {} is live on this node.", short(&digest));
        self.event(None, "dag_version_live", Severity::Info, &message);
        self.dag_version = Some(digest);
        self.dag_report.live_since = Some(Utc::now());
    }

    fn read_requirements(&mut self, version: &Digest) {
        let file = self
            .assignment
            .as_ref()
            .and_then(|assignment| assignment.requirements_file.as_ref());
        let read = file.map(|file| requirements::read(&self.layout, version, file));
        if let Some(Some(report)) = read {
            self.dag_report.requirements = Some(report);
        }
    }

    /// Beside all else: there may be many.
    fn read_plugins(&self, version: &Digest) {
        let resolves = self
            .assignment
            .as_ref()
            .is_some_and(|assignment| assignment.dags.resolver);
        if !resolves {
            return;
        }
        let (layout, version, tell) = (self.layout.clone(), version.to_string(), self.tell.clone());
        tokio::spawn(async move {
            match plugins::read(&layout, version).await {
                Ok(report) => drop(tell.send(Happening::Plugins(report))),
                Err(error) => tracing::warn!(error = error.chain(), "The DAGs' plugins can't be read"),
            }
        });
    }

    pub(super) fn plugins_read(&mut self, report: PluginsReport) {
        if self.dag_version.as_ref() == Some(&report.version) {
            self.dag_report.plugins = Some(report);
        }
    }

    /// Another file may be meant than when the version went live.
    pub(super) fn reread_requirements(&mut self) {
        let assigned = self
            .assignment
            .as_ref()
            .and_then(|assignment| assignment.requirements_file.as_ref());
        let read = self.dag_report.requirements.as_ref().map(|report| &report.file);
        if assigned == read {
            return;
        }
        self.dag_report.requirements = None;
        if let Some(version) = self.dag_version.as_ref().and_then(|digest| digest.parse().ok()) {
            self.read_requirements(&version);
        }
    }

    fn dags_published(&mut self, version: &PublishedVersion) {
        let before = self.dag_report.published.replace(version.clone());
        // What an earlier agent published is no news.
        let news = version.at > self.begun && before.is_none_or(|before| before.digest != version.digest);
        if news {
            let message = format!("DAG version {} was made of the sources.", short(&version.digest));
            self.event(None, "dag_version_published", Severity::Info, &message);
        }
    }

    fn dag_source(&mut self, state: SourceState) {
        let source = match state.folder.as_str() {
            "" => "the DAG source".to_owned(),
            folder => format!("the DAG source of `{folder}`"),
        };
        match &state.trouble {
            Some(reason) => {
                let message = format!("There is trouble with {source}; what it last had serves: {reason}");
                self.event(None, "dag_sync_failed", Severity::Error, &message);
            }
            None => {
                let message = format!("Trouble with {source} is over.");
                self.event(None, "dag_sync_recovered", Severity::Info, &message);
            }
        }
        self.dag_report
            .sources
            .retain(|other| other.folder != state.folder);
        self.dag_report.sources.push(state);
    }

    /// A source that the cluster no longer has is in no trouble.
    pub(super) fn forget_dag_sources(&mut self) {
        let sources = self
            .assignment
            .as_ref()
            .map_or(&[][..], |assignment| &assignment.dags.sources);
        let is_there = |folder: &str| sources.iter().any(|source| source.folder == folder);
        self.dag_report.sources.retain(|state| is_there(&state.folder));
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
