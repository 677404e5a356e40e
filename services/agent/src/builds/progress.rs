//! What the builder says, line by line. A tenant's code may have written it: anything else than expected is passed over.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::agent::{BuildOutcome, BuildRefusal, BuildReport, BuildStage, BuildStageReport};

const DETAIL: usize = 500;
const MESSAGE: usize = 2_000;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Stage {
        stage: BuildStage,
        #[serde(default)]
        detail: Option<String>,
    },
    Refused {
        refused: BuildRefusal,
        message: String,
    },
    Ready {
        ready: bool,
    },
}

/// How the builder says that it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ready,
    Refused(BuildRefusal, String),
}

/// Takes a line into the report; a verdict is handed back.
pub(super) fn take(report: &mut BuildReport, line: &str, now: DateTime<Utc>) -> Option<Verdict> {
    match serde_json::from_str(line).ok()? {
        Line::Stage { stage, detail } => {
            begin(report, stage, detail, now);
            None
        }
        Line::Refused { refused, message } => Some(Verdict::Refused(refused, last(&message, MESSAGE))),
        Line::Ready { ready } => ready.then_some(Verdict::Ready),
    }
}

/// Each stage begins once; the one before is over then.
fn begin(report: &mut BuildReport, stage: BuildStage, detail: Option<String>, now: DateTime<Utc>) {
    if report.stages.iter().any(|begun| begun.stage == stage) {
        return;
    }
    finish(report, now);
    report.stages.push(BuildStageReport {
        stage,
        started_at: now,
        finished_at: None,
        detail: detail.map(|text| text.chars().take(DETAIL).collect()),
    });
}

fn finish(report: &mut BuildReport, now: DateTime<Utc>) {
    if let Some(last) = report.stages.last_mut() {
        last.finished_at.get_or_insert(now);
    }
}

/// A refusal leaves the stage open in which it came.
pub(super) fn conclude(report: &mut BuildReport, verdict: Verdict, now: DateTime<Utc>) {
    report.outcome = match verdict {
        Verdict::Ready => {
            finish(report, now);
            BuildOutcome::Ready
        }
        Verdict::Refused(cause, message) => BuildOutcome::Refused { cause, message },
    };
}

/// The last characters: tools say the reason at the end.
pub(super) fn last(text: &str, most: usize) -> String {
    let skipped = text.chars().count().saturating_sub(most);
    text.chars().skip(skipped).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use updraft_api::agent::{BuildOutcome, BuildRefusal, BuildReport, BuildStage};

    use super::{Verdict, conclude, take};

    fn report() -> BuildReport {
        BuildReport {
            digest: "d".to_owned(),
            attempt: 1,
            stages: Vec::new(),
            outcome: BuildOutcome::Running,
            kept: None,
        }
    }

    #[test]
    fn a_stage_ends_when_the_next_begins_and_a_refusal_leaves_it_open() {
        let mut report = report();
        for line in [
            r#"{"stage":"solve"}"#,
            "noise",
            r#"{"stage":"install","detail":"2 packages"}"#,
        ] {
            assert_eq!(take(&mut report, line, Utc::now()), None);
        }
        let refused = take(
            &mut report,
            r#"{"refused":"install","message":"no compiler"}"#,
            Utc::now(),
        );
        conclude(&mut report, refused.unwrap(), Utc::now());
        let stages: Vec<_> = report
            .stages
            .iter()
            .map(|stage| (stage.stage, stage.finished_at.is_some()))
            .collect();
        assert_eq!(stages, [(BuildStage::Solve, true), (BuildStage::Install, false)]);
        assert_eq!(
            report.outcome,
            BuildOutcome::Refused {
                cause: BuildRefusal::Install,
                message: "no compiler".to_owned()
            }
        );
    }

    #[test]
    fn what_a_hostile_build_writes_is_bounded() {
        let mut report = report();
        let long = format!(r#"{{"stage":"check","detail":"{}"}}"#, "x".repeat(9_000));
        for _ in 0..100 {
            take(&mut report, &long, Utc::now());
        }
        assert_eq!(report.stages.len(), 1);
        assert_eq!(report.stages[0].detail.as_ref().unwrap().len(), 500);
        let said = take(&mut report, r#"{"ready":false}"#, Utc::now());
        assert_eq!(said, None::<Verdict>);
    }
}
