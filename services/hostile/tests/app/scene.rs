//! Two tenants, for rows about sessions and tokens: what is good in one place, and what somebody tries with it elsewhere.

use std::net::IpAddr;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use updraft_model::{AuditActorKind, ClusterId, TenantRole};

use crate::house::{Answer, HERE, House, Someone, request, rest};
use crate::log::Told;
use crate::play::play_all;

pub(crate) struct Scene<'h> {
    pub(crate) house: &'h House,
    /// An owner here, and a member.
    pub(crate) ada: Someone,
    pub(crate) bo: Someone,
    pub(crate) cluster: ClusterId,
    /// The owner of another tenant, and their cluster.
    pub(crate) eve: Someone,
    pub(crate) foreign: ClusterId,
    /// Where the row's request comes from.
    pub(crate) from: IpAddr,
}

/// What is tried with a credential that is worth nothing: at each door alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Page,
    Form,
    Stream,
    RestCookie,
    Rest,
    RestChange,
    Scim,
}

/// A credential, once as it is good and once as it is worth nothing.
pub(crate) struct Worthless {
    pub(crate) name: &'static str,
    pub(crate) doors: &'static [Door],
    pub(crate) made: Made<Pair>,
}

/// What a row does in its scene.
pub(crate) type Made<T> = Box<dyn for<'s> Fn(&'s Scene<'_>) -> BoxFuture<'s, T> + Send + Sync>;

pub(crate) struct Pair {
    pub(crate) good: String,
    pub(crate) bad: String,
}

/// Somebody known who reaches further than they may.
pub(crate) struct TooFar {
    pub(crate) name: &'static str,
    pub(crate) action: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) tried: Made<Tried>,
}

pub(crate) struct Tried {
    /// The same by somebody who may, or where one may.
    pub(crate) control: Answer,
    pub(crate) hostile: Answer,
    pub(crate) by: By,
}

/// Who the log says it was.
pub(crate) enum By {
    Nobody,
    /// Nobody, who says to be this person: their tenant is shown it.
    Claimed(Someone),
    Person(Someone),
    /// Their directory, by its token.
    Directory(Someone),
}

// === impl Scene ===

impl<'h> Scene<'h> {
    pub(crate) async fn set(house: &'h House) -> Self {
        let (ada, eve) = (house.owner().await, house.owner().await);
        Self {
            bo: house.someone(ada.tenant, TenantRole::Member).await,
            cluster: house.cluster(&ada).await,
            foreign: house.cluster(&eve).await,
            from: house.somewhere(),
            house,
            ada,
            eve,
        }
    }

    /// From where nobody looks.
    pub(crate) async fn ask(&self, request: axum::http::Request<axum::body::Body>) -> Answer {
        self.house.first.ask(self.house.somewhere(), request).await
    }

    /// From where the row's line is looked for, at another control process.
    pub(crate) async fn tries(&self, request: axum::http::Request<axum::body::Body>) -> Answer {
        self.house.second.ask(self.from, request).await
    }
}

// === impl Door ===

impl Door {
    /// What the log calls it.
    fn action(self) -> &'static str {
        match self {
            Self::Page | Self::Stream => "console.page",
            Self::Form => "console.form",
            Self::RestCookie | Self::Rest => "me.show",
            Self::RestChange => "cluster.create",
            Self::Scim => "directory.person_list",
        }
    }

    fn request(self, credential: &str) -> axum::http::Request<axum::body::Body> {
        match self {
            Self::Page => request("GET", "/clusters").cookie(credential).empty(),
            Self::Stream => request("GET", "/live/clusters").cookie(credential).empty(),
            Self::Form => request("POST", "/account/sessions/end")
                .cookie(credential)
                .header("origin", HERE)
                .form(String::new()),
            Self::RestCookie => rest("GET", "/me").cookie(credential).empty(),
            Self::Rest => rest("GET", "/me").bearer(credential).empty(),
            Self::RestChange => {
                let name = format!("c{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
                let wish = serde_json::json!({"name": name, "start": false});
                rest("POST", "/clusters").bearer(credential).json(&wish)
            }
            Self::Scim => request("GET", "/scim/v2/Users").bearer(credential).empty(),
        }
    }
}

/// Each credential at each of its doors.
pub(crate) async fn turn_away(house: &House, rows: &[Worthless]) {
    let all = rows
        .iter()
        .flat_map(|row| row.doors.iter().map(move |door| (row, *door)));
    play_all(all.map(|(row, door)| turned_away(house, row, door).boxed())).await;
}

async fn turned_away(house: &House, row: &Worthless, door: Door) {
    let name = format!("{} ({door:?})", row.name);
    let scene = Scene::set(house).await;
    let pair = (row.made)(&scene).await;
    let control = scene.ask(door.request(&pair.good)).await;
    house.assert_done(&name, &control, scene.ada.tenant, None).await;
    let hostile = scene.tries(door.request(&pair.bad)).await;
    let told = Told {
        tenant: None,
        action: door.action(),
        reason: "not-signed-in",
        kind: AuditActorKind::Nobody,
        actor: None,
        from: scene.from,
    };
    house
        .assert_refused(&name, &hostile, scene.ada.tenant, &told)
        .await;
}

pub(crate) async fn hold_back(house: &House, rows: &[TooFar]) {
    play_all(rows.iter().map(|row| held_back(house, row).boxed())).await;
}

async fn held_back(house: &House, row: &TooFar) {
    let scene = Scene::set(house).await;
    let Tried { control, hostile, by } = (row.tried)(&scene).await;
    house
        .assert_done(row.name, &control, scene.ada.tenant, None)
        .await;
    let (tenant, kind, actor) = match &by {
        By::Nobody => (None, AuditActorKind::Nobody, None),
        By::Claimed(whose) => (Some(whose.tenant), AuditActorKind::Nobody, None),
        By::Directory(who) => (Some(who.tenant), AuditActorKind::Directory, Some(who.user.0)),
        By::Person(who) => (Some(who.tenant), AuditActorKind::Person, Some(who.user.0)),
    };
    let told = Told {
        tenant,
        action: row.action,
        reason: row.reason,
        kind,
        actor,
        from: scene.from,
    };
    let whose = tenant.unwrap_or(scene.ada.tenant);
    house.assert_refused(row.name, &hostile, whose, &told).await;
}
