//! Queues of tasks, each with workers of its own. Names and typed forms are valid by construction; what a tenant may ask for is
//! the use case's to judge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// What Airflow calls the queue of tasks that name none, and what every cluster has.
const DEFAULT: &str = "default";
const LONGEST: usize = 40;

/// A Celery queue's name, as tasks write it in `queue=`: 1–40 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", example = "heavy")]
pub struct QueueName(String);

/// A queue and the workers that take its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerQueue {
    pub name: QueueName,
    /// What its workers run on, for example `r7i.xlarge`. Default: the installation's. Only where nodes are machines of a
    /// cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Tasks that one of its workers runs at once, 1 to 64.
    #[serde(default = "two")]
    pub concurrency: u32,
    /// Workers it has at least, 0 to 20.
    pub min: u32,
    /// Workers it has at most, 0 to 20.
    pub max: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{given}` is no name of a queue: use 1 to 40 of a-z, A-Z, 0-9, `.`, `_` and `-`, beginning with a letter or digit"
)]
pub struct InvalidQueueName {
    given: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidQueue {
    #[error(transparent)]
    Name(#[from] InvalidQueueName),
    #[error(
        "`{given}` is no queue: write NAME=WORKERS or NAME=MIN..MAX, then ,concurrency=N or ,instance_type=TYPE"
    )]
    Shape { given: String },
}

// === impl QueueName ===

impl QueueName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let well_formed = (1..=LONGEST).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(allowed);
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidQueueName {
                given: shortened(text),
            })
        }
    }
}

impl TryFrom<String> for QueueName {
    type Error = InvalidQueueName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<QueueName> for String {
    fn from(name: QueueName) -> Self {
        name.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl WorkerQueue ===

/// As people type it: `heavy=2`, `heavy=0..4,concurrency=8,instance_type=r7i.xlarge`.
impl FromStr for WorkerQueue {
    type Err = InvalidQueue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = || InvalidQueue::Shape {
            given: shortened(text),
        };
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next().and_then(|first| first.split_once('='));
        let (name, workers) = first.ok_or_else(shape)?;
        let (min, max) = workers.split_once("..").unwrap_or((workers, workers));
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| shape());
        let mut queue = Self {
            name: name.trim().parse()?,
            instance_type: None,
            concurrency: two(),
            min: number(min)?,
            max: number(max)?,
        };
        for part in parts {
            match part.split_once('=').ok_or_else(shape)? {
                ("concurrency", value) => queue.concurrency = number(value)?,
                ("instance_type", value) => queue.instance_type = Some(value.to_owned()),
                _ => return Err(shape()),
            }
        }
        Ok(queue)
    }
}

impl fmt::Display for WorkerQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.min)?;
        if self.max != self.min {
            write!(f, "..{}", self.max)?;
        }
        write!(f, ",concurrency={}", self.concurrency)?;
        let machine = self.instance_type.iter();
        machine
            .into_iter()
            .try_for_each(|machine| write!(f, ",instance_type={machine}"))
    }
}

fn two() -> u32 {
    2
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::{QueueName, WorkerQueue};

    #[test]
    fn what_is_typed_is_what_is_shown() {
        for (typed, shown) in [
            ("heavy=2", "heavy=2,concurrency=2"),
            ("heavy=0..4, concurrency=8", "heavy=0..4,concurrency=8"),
            (
                "GPU.a=1..1,instance_type=g5.xlarge",
                "GPU.a=1,concurrency=2,instance_type=g5.xlarge",
            ),
        ] {
            let queue: WorkerQueue = typed.parse().unwrap();
            assert_eq!(queue.to_string(), shown);
            assert_eq!(shown.parse(), Ok(queue));
        }
    }

    #[test]
    fn what_is_no_queue_says_how_one_is_written() {
        for bad in [
            "",
            "heavy",
            "heavy=",
            "heavy=a",
            "heavy=1..",
            "heavy=-1",
            "heavy=1,concurrency",
            "heavy=1,size=3",
        ] {
            let why = bad.parse::<WorkerQueue>().unwrap_err().to_string();
            assert!(why.contains("NAME=MIN..MAX"), "{bad}: {why}");
        }
        for bad in ["=1", "a b=1", "-a=1", "a,b=1"] {
            assert!(bad.parse::<WorkerQueue>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_harmless_on_a_command_line() {
        for good in ["default", "heavy", "GPU_2.large-x", "9", &"a".repeat(40)] {
            assert!(good.parse::<QueueName>().is_ok(), "{good}");
        }
        for bad in ["", "-q", ".q", "a,b", "a b", "ä", "{dsn}", "a/b", &"a".repeat(41)] {
            assert!(bad.parse::<QueueName>().is_err(), "{bad}");
        }
    }
}
