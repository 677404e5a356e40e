//! The audit log: who did what, and what was refused. For owners only.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use updraft_api::audit::{AuditEntry, AuditOf};
use updraft_app::PageRequest;
use updraft_app::audit::AuditFilter;
use updraft_model::{AuditActorKind, AuditOutcome};
use url::form_urlencoded::Serializer;

use crate::error::Complaint;
use crate::extract::Asked;
use crate::frame::{Frame, Here};
use crate::icon::{Icon, icon};
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;
use crate::text::Moment;
use crate::tone::{Pill, Tone};

#[derive(Template)]
#[template(path = "pages/audit.html")]
pub(crate) struct AuditPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) asked: Wanted,
    pub(crate) rows: Vec<Row>,
    /// Queries, with their question mark.
    pub(crate) older: Option<String>,
    pub(crate) export: String,
    pub(crate) filtered: bool,
    /// Whether the viewer runs the installation, and sees what is nobody's.
    pub(crate) operator: bool,
    pub(crate) installation: bool,
    pub(crate) outcomes: [&'static str; 3],
}

pub(crate) struct Row {
    at: Moment,
    who: String,
    kind: Option<Kind>,
    action: String,
    target: Option<String>,
    outcome: Pill,
    reason: Option<String>,
    from: String,
    details: Vec<(&'static str, String)>,
    before: Option<String>,
    after: Option<String>,
}

/// Who it was if no person: never by colour or picture alone.
struct Kind {
    icon: Icon,
    word: &'static str,
}

/// The page's query, as it was typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    actor: String,
    action: String,
    outcome: String,
    target: String,
    /// Whole days, both included.
    since: String,
    until: String,
    /// `installation` for what is nobody's in particular.
    of: String,
    cursor: Option<String>,
}

// === impl AuditPage ===

impl AuditPage {
    /// Suggestions; any beginning will do.
    const KNOWN: [&'static str; 8] = [
        "sign_in",
        "sign_out",
        "cluster.",
        "service.",
        "person.",
        "grant.",
        "token.",
        "identity_provider.",
    ];

    pub(crate) fn new(frame: Frame, asked: Wanted, lines: &[AuditEntry], now: DateTime<Utc>) -> Self {
        let export = asked.query(true);
        Self {
            frame: frame.on(Here::Audit),
            complaint: None,
            rows: lines.iter().map(|line| Row::new(line, now)).collect(),
            older: None,
            filtered: asked.is_filtered(),
            operator: false,
            installation: asked.of() == AuditOf::Installation,
            export,
            asked,
            outcomes: AuditOutcome::ALL.map(AuditOutcome::as_str),
        }
    }
}

// === impl Wanted ===

impl Wanted {
    fn of(&self) -> AuditOf {
        match self.of.as_str() {
            "installation" => AuditOf::Installation,
            _ => AuditOf::Tenant,
        }
    }

    fn is_filtered(&self) -> bool {
        let all = Self {
            of: self.of.clone(),
            ..Self::default()
        };
        self.query(true) != all.query(true)
    }

    /// None: a date is none.
    fn filter(&self) -> Option<AuditFilter> {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let outcome = AuditOutcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == self.outcome);
        let until = midnight(&self.until)?;
        Some(AuditFilter {
            actor: text(&self.actor),
            action: text(&self.action),
            outcome,
            target: text(&self.target),
            since: midnight(&self.since)?,
            until: until.and_then(|day| day.checked_add_days(Days::new(1))),
        })
    }

    /// The same filter as a query of this page, or of the REST API, which takes moments.
    fn query(&self, for_rest: bool) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in [
            ("of", &self.of),
            ("actor", &self.actor),
            ("action", &self.action),
            ("outcome", &self.outcome),
            ("target", &self.target),
        ] {
            if !value.trim().is_empty() {
                query.append_pair(name, value.trim());
            }
        }
        let filter = self.filter().unwrap_or_default();
        for (name, day, moment) in [
            ("since", &self.since, filter.since),
            ("until", &self.until, filter.until),
        ] {
            let moment = moment.map(|moment| moment.format("%Y-%m-%dT%H:%M:%SZ").to_string());
            match (for_rest, moment) {
                (true, Some(moment)) => query.append_pair(name, &moment),
                (false, _) if !day.is_empty() => query.append_pair(name, day),
                _ => &mut query,
            };
        }
        let query = query.finish();
        if query.is_empty() {
            query
        } else {
            format!("?{query}")
        }
    }

    fn page(&self, cursor: &str) -> String {
        let query = self.query(false);
        let sign = if query.is_empty() { "?" } else { "&" };
        format!(
            "{query}{sign}{}",
            Serializer::new(String::new())
                .append_pair("cursor", cursor)
                .finish()
        )
    }
}

/// Where a day begins; the inner none for no day at all.
fn midnight(day: &str) -> Option<Option<DateTime<Utc>>> {
    if day.is_empty() {
        return Some(None);
    }
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    Some(Some(day.and_time(NaiveTime::MIN).and_utc()))
}

// === impl Row ===

impl Row {
    fn new(line: &AuditEntry, now: DateTime<Utc>) -> Self {
        let details = [
            ("Line", Some(line.id.to_string())),
            ("Target", line.target.clone()),
            ("With", line.actor.credential.clone()),
            ("Program", line.user_agent.clone()),
            ("Request", line.request_id.clone()),
        ];
        let present = |(name, value): (&'static str, Option<String>)| Some((name, value?));
        Self {
            at: Moment::new(line.at, now),
            who: who(line),
            kind: Kind::of(line.actor.kind),
            action: line.action.clone(),
            target: line.target_name.clone().or_else(|| line.target.clone()),
            outcome: outcome(line.outcome),
            reason: line.reason.clone(),
            from: line
                .address
                .map_or_else(|| "–".to_owned(), |address| address.to_string()),
            details: details.into_iter().filter_map(present).collect(),
            before: line.before.as_ref().map(|value| format!("{value:#}")),
            after: line.after.as_ref().map(|value| format!("{value:#}")),
        }
    }
}

fn who(line: &AuditEntry) -> String {
    if line.actor.name.is_empty() {
        "somebody".to_owned()
    } else {
        line.actor.name.clone()
    }
}

// === impl Kind ===

impl Kind {
    fn of(kind: AuditActorKind) -> Option<Self> {
        let name = match kind {
            AuditActorKind::Person | AuditActorKind::System => return None,
            AuditActorKind::Service => "program",
            AuditActorKind::Operator => "shield",
            AuditActorKind::Provider => "lock",
            AuditActorKind::Directory => "book",
            AuditActorKind::Nobody => "warn",
        };
        Some(Self {
            icon: icon(name),
            word: kind.label(),
        })
    }
}

fn outcome(outcome: AuditOutcome) -> Pill {
    match outcome {
        AuditOutcome::Done => Pill::new(Tone::Good, "Done"),
        AuditOutcome::Refused => Pill::new(Tone::Warn, "Refused"),
        AuditOutcome::Failed => Pill::new(Tone::Bad, "Failed"),
    }
}

// === handlers ===

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    Asked(asked): Asked<Wanted>,
) -> Answer {
    let Some(filter) = asked.filter() else {
        let complaint = Complaint::new("That is no date.", "Write both as year-month-day: 2026-11-22.");
        let page = AuditPage {
            complaint: Some(complaint),
            ..AuditPage::new(visit.frame(), asked, &[], Utc::now())
        };
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page.render()?)).into_response());
    };
    let request = PageRequest {
        cursor: asked.cursor.clone(),
        limit: None,
    };
    let lines = console
        .app
        .list_audit(&visit.actor, asked.of(), &filter, request)
        .await?;
    let older = lines.next.map(|cursor| asked.page(&cursor));
    let page = AuditPage {
        older,
        operator: visit.me.operator,
        ..AuditPage::new(visit.frame(), asked, &lines.items, Utc::now())
    };
    Ok(Html(page.render()?).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{AuditPage, Wanted};
    use crate::fixtures;

    fn page(asked: Wanted, lines: &[updraft_api::audit::AuditEntry]) -> String {
        let page = AuditPage::new(fixtures::frame(), asked, lines, fixtures::now());
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        html
    }

    #[test]
    fn lines_are_listed_with_what_changed_and_hostile_text_stays_text() {
        let html = page(Wanted::default(), &fixtures::audit());
        assert!(
            html.contains("cluster.update") && html.contains("wrong-credentials"),
            "{html}"
        );
        assert!(html.contains("&#34;workers&#34;: 3"), "{html}");
        assert!(
            html.contains("&#60;script&#62;") && !html.contains("<script>alert"),
            "{html}"
        );
    }

    #[test]
    fn who_is_no_person_is_told_by_icon_and_word() {
        let html = page(Wanted::default(), &fixtures::audit());
        let program =
            r##"<svg class="icon" aria-hidden="true"><use href="#i-program"/></svg>service account"##;
        assert!(html.contains(program), "{html}");
        assert!(
            html.contains("not signed in") && !html.contains("</svg>person"),
            "{html}"
        );
    }

    #[test]
    fn an_empty_log_and_an_empty_answer_say_so() {
        assert!(page(Wanted::default(), &[]).contains("Nothing has been recorded"));
        let asked = Wanted {
            actor: "ada".into(),
            ..Wanted::default()
        };
        let html = page(asked, &[]);
        assert!(
            html.contains("No line is like that") && html.contains("Show all"),
            "{html}"
        );
    }

    #[test]
    fn the_filter_goes_along_to_older_lines_and_to_the_export() {
        let asked = Wanted {
            action: "cluster.".into(),
            until: "2026-11-22".into(),
            ..Wanted::default()
        };
        assert_eq!(asked.page("6"), "?action=cluster.&until=2026-11-22&cursor=6");
        assert_eq!(
            asked.query(true),
            "?action=cluster.&until=2026-11-23T00%3A00%3A00Z"
        );
        assert_eq!(Wanted::default().page("6"), "?cursor=6");
        let no_day = Wanted {
            since: "soon".into(),
            ..Wanted::default()
        };
        assert!(no_day.filter().is_none());
    }
}
