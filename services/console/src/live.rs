//! Live pages: fragments of HTML over server-sent events, each sent only when it says something new.
//!
//! A stream looks again whenever the event log grows, each second while an operation runs, and every few seconds
//! otherwise. It asks the use cases each time as the person it belongs to, so that it ends with the session.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use updraft_authz::Actor;
use updraft_model::ClusterId;

use crate::extract::At;
use crate::pages::cluster::{HeadActions, Tab, head_pill};
use crate::pages::{activity, clusters, dags, nodes, overview};
use crate::refusal::Refusal;
use crate::session::{Visit, who};
use crate::state::Console;
use crate::tone::{Pill, Tone};

const WHILE_CHANGING: Duration = Duration::from_secs(1);
const OTHERWISE: Duration = Duration::from_secs(5);
/// Events often come in bursts: one look answers all of them.
const BURST: Duration = Duration::from_millis(150);

/// Name of the fragment, HTML.
type Fragment = (&'static str, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Clusters,
    Cluster(ClusterId, LiveTab),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LiveTab {
    Overview,
    Nodes,
    Dags,
    Activity,
    /// Tabs where only phase and buttons are live.
    Head,
}

/// What one look found.
struct Look {
    fragments: Vec<Fragment>,
    changing: bool,
}

struct Watch {
    console: Console,
    token: String,
    subject: Subject,
    woken: Pin<Box<dyn Stream<Item = ()> + Send>>,
    seen: HashMap<&'static str, u64>,
    pause: Option<Duration>,
    gone: bool,
}

pub(crate) async fn clusters(State(console): State<Console>, visit: Result<Visit, Refusal>) -> Response {
    answer(console, visit, Subject::Clusters).await
}

pub(crate) async fn cluster(
    State(console): State<Console>,
    At((id, tab)): At<(ClusterId, LiveTab)>,
    visit: Result<Visit, Refusal>,
) -> Response {
    answer(console, visit, Subject::Cluster(id, tab)).await
}

/// `204` tells a browser to stop asking.
async fn answer(console: Console, visit: Result<Visit, Refusal>, subject: Subject) -> Response {
    let visit = match visit {
        Ok(visit) => visit,
        Err(refusal) => return refused(refusal),
    };
    match Watch::begin(console, visit, subject).await {
        Ok(watch) => Sse::new(stream(watch))
            .keep_alive(KeepAlive::default())
            .into_response(),
        Err(refusal) => refused(refusal),
    }
}

/// No page: a status that the browser understands, and the refusal itself for the audit log.
pub(crate) fn refused(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::SignedOut(_) => StatusCode::NO_CONTENT,
        _ => refusal.status(),
    };
    let mut response = status.into_response();
    response.extensions_mut().insert(refusal);
    response
}

fn stream(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    let looks = stream::unfold(watch, |mut watch| async {
        let events = watch.next_events().await?;
        Some((stream::iter(events.into_iter().map(Ok)), watch))
    });
    looks.flatten()
}

// === impl Watch ===

impl Watch {
    async fn begin(console: Console, visit: Visit, subject: Subject) -> Result<Self, Refusal> {
        let of = match subject {
            Subject::Clusters => None,
            Subject::Cluster(id, _) => Some(id),
        };
        let woken = console
            .app
            .watch_events(&visit.actor, of, None)
            .await?
            .map(|_| ());
        // A log ends when the right to it does: look once more. After that it must not make the loop a busy one.
        let ended = stream::once(async {}).chain(stream::pending());
        let woken = Box::pin(woken.chain(ended));
        Ok(Self {
            console,
            token: visit.token,
            subject,
            woken,
            seen: HashMap::new(),
            pause: None,
            gone: false,
        })
    }

    /// Waits until something may have changed, looks, and answers with what did; none when the session or the
    /// cluster is gone.
    async fn next_events(&mut self) -> Option<Vec<Event>> {
        if self.gone {
            return None;
        }
        if let Some(pause) = self.pause
            && timeout(pause, self.woken.next()).await.is_ok()
        {
            sleep(BURST).await;
        }
        let actor = who(&self.console, &self.token).await.ok().flatten()?;
        let look = match look(&self.console, &actor, self.subject).await {
            Ok(look) => look,
            Err(refusal) if refusal.status() == StatusCode::NOT_FOUND && !self.gone => {
                return self.say_gone();
            }
            Err(_) => return None,
        };
        self.pause = Some(if look.changing { WHILE_CHANGING } else { OTHERWISE });
        Some(
            look.fragments
                .into_iter()
                .filter_map(|fragment| self.news(fragment))
                .collect(),
        )
    }

    /// The last words of a cluster's stream, deleted or no longer theirs to see: `gone` tells the browser to close it.
    fn say_gone(&mut self) -> Option<Vec<Event>> {
        self.gone = true;
        let pill = Pill::new(Tone::Quiet, "Gone").render().ok()?;
        let last = [
            ("phase", pill),
            ("actions", String::new()),
            ("gone", String::new()),
        ];
        Some(
            last.into_iter()
                .map(|(name, html)| Event::default().event(name).data(html))
                .collect(),
        )
    }

    fn news(&mut self, (name, html): Fragment) -> Option<Event> {
        let digest = digest(&html);
        (self.seen.insert(name, digest) != Some(digest))
            .then(|| Event::default().event(name).data(html.replace('\r', "")))
    }
}

async fn look(console: &Console, actor: &Actor, subject: Subject) -> Result<Look, Refusal> {
    match subject {
        Subject::Clusters => look_at_all(console, actor).await,
        Subject::Cluster(id, tab) => look_at_one(console, actor, id, tab).await,
    }
}

async fn look_at_all(console: &Console, actor: &Actor) -> Result<Look, Refusal> {
    let all = clusters::all(console, actor).await?;
    let changing = all.iter().any(|cluster| cluster.operation.is_some());
    Ok(Look {
        fragments: vec![("rows", clusters::Rows::new(&all, "").render()?)],
        changing,
    })
}

async fn look_at_one(console: &Console, actor: &Actor, id: ClusterId, tab: LiveTab) -> Result<Look, Refusal> {
    let cluster = console.app.show_cluster(actor, id).await?;
    let shown = if tab == LiveTab::Overview {
        Tab::Overview
    } else {
        Tab::Activity
    };
    let mut fragments = vec![
        ("phase", head_pill(&cluster, shown).render()?),
        ("actions", HeadActions::new(&cluster).render()?),
    ];
    match tab {
        LiveTab::Overview => fragments.extend(overview::fragments(console, actor, &cluster).await?),
        LiveTab::Nodes => {
            let nodes = console.app.list_nodes(actor, id).await?;
            fragments.push(("nodes", nodes::Nodes::new(&cluster, &nodes, Utc::now()).render()?));
        }
        LiveTab::Dags => fragments.push(("dags", dags::state(console, actor, &cluster).await?.render()?)),
        LiveTab::Activity => fragments.extend(activity::fragments(console, actor, &cluster).await?),
        LiveTab::Head => {}
    }
    Ok(Look {
        fragments,
        changing: cluster.operation.is_some(),
    })
}

/// Of what a fragment says, without the words for relative times: those the script keeps going by itself.
fn digest(html: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for piece in html.split("</time>") {
        match piece.rfind("<time ").map(|at| piece.split_at(at)) {
            Some((before, time)) => (before, time.split('>').next()).hash(&mut hasher),
            None => piece.hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn a_fragment_is_news_only_when_it_says_something_else() {
        let said = |word: &str, time: &str| {
            digest(&format!(
                "<p>{word} <time datetime=\"2026\" title=\"x\">{time}</time> by <b>Ada</b></p>"
            ))
        };
        assert_eq!(said("started", "3 s ago"), said("started", "4 s ago"));
        assert_ne!(said("started", "3 s ago"), said("stopped", "3 s ago"));
    }
}
