//! The question of the Logs page as it stands in its address, and as the use case takes it.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde::Deserialize;
use updraft_api::logs::{LogQuery, TASKS};
use updraft_app::AppError;
use updraft_model::{ClusterId, ClusterRole};
use url::form_urlencoded::Serializer;

use crate::refusal::Refusal;

/// The word that stands for all services.
const SERVICES: &str = "services";

/// The page's query, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    /// A service, `services` for all of them, `tasks`.
    pub(crate) service: String,
    pub(crate) node: String,
    pub(crate) dag: String,
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) map_index: String,
    pub(crate) attempt: String,
    /// `1h`, or a time (UTC).
    pub(crate) since: String,
    pub(crate) until: String,
    pub(crate) search: String,
    pub(crate) cursor: String,
}

// === impl Wanted ===

impl Wanted {
    /// What is asked for when nothing says so: an admin's services, a user's tasks. What it may not be is refused later.
    pub(crate) fn for_role(mut self, role: ClusterRole) -> Self {
        let of_tasks = !self.dag.trim().is_empty() || role == ClusterRole::User;
        if self.service.is_empty() {
            self.service = if of_tasks { TASKS } else { SERVICES }.to_owned();
        }
        self
    }

    pub(crate) fn is_of_tasks(&self) -> bool {
        self.service == TASKS
    }

    /// One attempt alone: then its lines need not say which.
    pub(super) fn is_of_one_attempt(&self) -> bool {
        let fields = [&self.dag, &self.run, &self.task, &self.attempt];
        self.is_of_tasks() && fields.iter().all(|field| !field.trim().is_empty())
    }

    pub(super) fn is_of_one_service(&self) -> bool {
        !self.is_of_tasks() && self.service != SERVICES
    }

    pub(crate) fn is_narrowed(&self) -> bool {
        let all = Self {
            service: self.service.clone(),
            cursor: self.cursor.clone(),
            ..Self::default()
        };
        *self != all
    }

    /// Whether new lines belong to it.
    pub(super) fn is_open_ended(&self) -> bool {
        self.until.trim().is_empty() && self.cursor.is_empty()
    }

    pub(super) fn query(&self, now: DateTime<Utc>) -> Result<LogQuery, Refusal> {
        let of_task = |value: &str| text(value).filter(|_| self.is_of_tasks());
        let has_dag = of_task(&self.dag).is_some();
        Ok(LogQuery {
            service: text(&self.service).filter(|service| service != SERVICES && !has_dag),
            node: text(&self.node),
            dag: of_task(&self.dag),
            run: of_task(&self.run),
            task: of_task(&self.task),
            map_index: number("map_index", of_task(&self.map_index))?,
            attempt: number("attempt", of_task(&self.attempt))?,
            since: moment("since", &self.since, now)?,
            until: moment("until", &self.until, now)?,
            search: text(&self.search),
            cursor: text(&self.cursor),
            ..LogQuery::default()
        })
    }

    /// As the query of an address, its question mark included; the cursor stays out.
    pub(super) fn query_string(&self, extra: &[(&str, &str)]) -> String {
        let mut query = Serializer::new(String::new());
        let fields = [
            ("service", &self.service),
            ("node", &self.node),
            ("dag", &self.dag),
            ("run", &self.run),
            ("task", &self.task),
            ("map_index", &self.map_index),
            ("attempt", &self.attempt),
            ("since", &self.since),
            ("until", &self.until),
            ("search", &self.search),
        ];
        for (name, value) in fields.map(|(name, value)| (name, value.trim())) {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.extend_pairs(extra);
        match query.finish() {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        }
    }

    pub(super) fn address(&self, cluster: ClusterId, below: &str, extra: &[(&str, &str)]) -> String {
        format!("/clusters/{cluster}/logs{below}{}", self.query_string(extra))
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn number(field: &'static str, value: Option<String>) -> Result<Option<u32>, Refusal> {
    value
        .map(|value| value.parse().map_err(|_| wrong(field, "write a number, like 1")))
        .transpose()
}

/// `15m` before now, or a time as pages and Airflow show it. Without a zone it is UTC.
fn moment(field: &'static str, value: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(value) = text(value) else { return Ok(None) };
    let found = age(&value).and_then(|age| now.checked_sub_signed(age));
    // Beyond these nothing was written, and there is no reckoning with times.
    let found = found.or_else(|| written(&value));
    let found = found.filter(|at| (1970..=9999).contains(&at.year()));
    let next = "write an age like `15m`, `6h`, `7d`, or a time (UTC) like `2026-11-22 03:45`";
    found.map(Some).ok_or_else(|| wrong(field, next))
}

fn age(value: &str) -> Option<TimeDelta> {
    let unit = value.chars().last()?;
    let count: i64 = value
        .strip_suffix(unit)?
        .parse()
        .ok()
        .filter(|count| *count >= 0)?;
    match unit {
        's' => TimeDelta::try_seconds(count),
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        _ => None,
    }
}

fn written(value: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(value) {
        return Some(at.to_utc());
    }
    let value = value.trim_end_matches("UTC").trim_end_matches('Z').trim_end();
    let formats = [
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
    ];
    let at = formats
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(value, format).ok());
    let day = || NaiveDate::parse_from_str(value, "%Y-%m-%d").ok();
    at.or_else(|| day().map(|day| day.and_time(NaiveTime::MIN)))
        .map(|at| at.and_utc())
}

fn wrong(field: &str, why: &str) -> Refusal {
    Refusal::from(AppError::Invalid {
        field: field.to_owned(),
        why: why.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, Utc};
    use updraft_model::ClusterRole;

    use super::Wanted;

    fn wanted(query: &str) -> Wanted {
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let json: serde_json::Map<_, _> = fields
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        serde_json::from_value(json.into()).unwrap()
    }

    #[test]
    fn an_admin_begins_with_services_a_user_and_a_dags_link_with_tasks() {
        let service = |query: &str, role| wanted(query).for_role(role).query(Utc::now()).unwrap().service;
        assert_eq!(service("", ClusterRole::Admin), None);
        assert_eq!(service("", ClusterRole::User).as_deref(), Some("tasks"));
        let dag = wanted("dag=sales").for_role(ClusterRole::Admin);
        assert!(dag.is_of_tasks());
        let query = dag.query(Utc::now()).unwrap();
        assert_eq!((query.service, query.dag.as_deref()), (None, Some("sales")));
        // What was typed for tasks is left aside where a service is asked for.
        let query = wanted("service=worker&dag=sales&attempt=x")
            .query(Utc::now())
            .unwrap();
        assert_eq!((query.service.as_deref(), query.dag), (Some("worker"), None));
    }

    #[test]
    fn times_are_ages_or_moments_and_anything_else_says_what_to_write() {
        let now = Utc::now();
        let since = |text: &str| {
            wanted(&format!("since={text}"))
                .query(now)
                .map(|query| query.since)
        };
        assert_eq!(since("15m").unwrap(), Some(now - TimeDelta::minutes(15)));
        assert_eq!(since(" 7d ").unwrap(), Some(now - TimeDelta::days(7)));
        for text in [
            "2026-11-22T03:45:00Z",
            "2026-11-22 03:45",
            "2026-11-22T03:45",
            "2026-11-22 03:45:00.000 UTC",
            "2026-11-22T04:45:00%2B01:00",
        ] {
            let at = since(text).unwrap().unwrap();
            assert_eq!(at.to_rfc3339(), "2026-11-22T03:45:00+00:00", "{text}");
        }
        for text in ["soon", "-1h", "99999999999999d", "99999d", "é"] {
            let refused = since(text).unwrap_err();
            assert!(
                refused.correctable() && refused.complaint().next.to_string().contains("15m"),
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_carries_the_question_and_never_the_cursor() {
        let asked = wanted("service=tasks&dag=a b&search=50%25&cursor=6e");
        assert_eq!(
            asked.query_string(&[("cursor", "aa")]),
            "?service=tasks&dag=a+b&search=50%25&cursor=aa"
        );
        assert!(asked.is_narrowed() && !asked.is_open_ended());
    }
}
