//! Nodes and the services on them, as an agent reports them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownWord {
                        given: text.chars().take(60).collect(),
                        known: concat!($($text, " "),+),
                    }),
                }
            }
        }
    };
}

/// A word outside a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{given}` is none of: {}", known.trim_end())]
pub struct UnknownWord {
    given: String,
    known: &'static str,
}

word!(
    /// What a node is for.
    NodeRole {
        Scheduler = "scheduler",
        Web = "web",
        Worker = "worker",
    }
);

word!(
    /// What keeps a cluster's tasks until a worker takes them. Chosen when the cluster is made, and it stays.
    #[derive(Default)]
    Broker {
        /// Small and quick to start; brought by Updraft.
        #[default]
        Valkey = "valkey",
        /// From the machine's package. Valkey stays beside it, for Celery's results.
        RabbitMq = "rabbitmq",
    }
);

word!(
    /// One process on a node.
    ServiceName {
        Broker = "broker",
        /// Where Celery keeps results, beside a broker that can't.
        Results = "results",
        Scheduler = "scheduler",
        DagProcessor = "dag-processor",
        Triggerer = "triggerer",
        ApiServer = "api-server",
        Worker = "worker",
        Flower = "flower",
    }
);

word!(
    /// What one service is doing.
    ServiceState {
        /// Its turn has not come: another service must be healthy first.
        Waiting = "waiting",
        /// Its process runs; health is not proven yet.
        Starting = "starting",
        Healthy = "healthy",
        /// Its process runs, its health check fails.
        Unhealthy = "unhealthy",
        /// It ended and will be started again after a pause.
        BackingOff = "backing_off",
        Stopping = "stopping",
        /// Stopped because that was asked for.
        Stopped = "stopped",
    }
);

word!(
    /// What an agent says of its node as a whole.
    AgentPhase {
        /// Environment and DAGs are being made ready.
        Preparing = "preparing",
        /// Services are starting.
        Starting = "starting",
        /// Every service is healthy.
        Running = "running",
        /// A service that was healthy is not, or one cannot start.
        Degraded = "degraded",
        Stopping = "stopping",
        /// Every service has ended because that was asked for.
        Stopped = "stopped",
    }
);

// === impl Broker ===

impl Broker {
    /// As `skip_serializing_if` asks: a spec that says nothing is read by every release.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How the detail of a service ends whose program its node lacks: nothing but another image helps.
pub const NOT_ON_THIS_NODE: &str = "is not on this node";

/// One service as its node's agent sees it. Untrusted input to control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceStatus {
    pub name: ServiceName,
    pub state: ServiceState,
    pub pid: Option<i32>,
    pub started_at: Option<DateTime<Utc>>,
    /// Unasked-for restarts since the node began.
    pub restarts: u32,
    /// Why it is not healthy, for people; at most 500 characters.
    pub detail: Option<String>,
}
