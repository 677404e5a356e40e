//! A runtime whose statements are counted, as sqlx tells of each: those of what runs on it, not those of the test, which waits
//! outside.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::runtime::{Builder, Runtime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber, set_default};
use tracing::{Event, Metadata};

/// In statements of simulated agents, which control would not send.
pub(super) const NOT_CONTROLS: &str = "/* not control's */";

/// Where sqlx tells of statements.
const TARGET: &str = "sqlx::query";

pub(super) struct Counted {
    pub(super) runtime: Runtime,
    statements: Arc<Mutex<Statements>>,
}

/// What was sent, by how it begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Statements(BTreeMap<String, Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    times: u64,
    rows: u64,
}

struct Listener(Arc<Mutex<Statements>>);

/// What sqlx says of one statement.
#[derive(Default)]
struct Told {
    summary: String,
    statement: String,
    rows: u64,
}

// === impl Counted ===

impl Counted {
    pub(super) fn new() -> Self {
        let statements = Arc::<Mutex<Statements>>::default();
        let listened = statements.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // For as long as the thread lives.
            .on_thread_start(move || std::mem::forget(set_default(Listener(listened.clone()))))
            .build()
            .unwrap();
        Self { runtime, statements }
    }

    /// Since this was asked last.
    pub(super) fn take(&self) -> Statements {
        std::mem::take(&mut *self.statements.lock().unwrap())
    }
}

// === impl Statements ===

impl Statements {
    pub(super) fn times(&self) -> u64 {
        self.0.values().map(|count| count.times).sum()
    }

    /// Returned, or changed.
    pub(super) fn rows(&self) -> u64 {
        self.0.values().map(|count| count.rows).sum()
    }
}

// === impl Listener ===

impl Subscriber for Listener {
    fn register_callsite(&self, of: &'static Metadata<'static>) -> Interest {
        match of.target() {
            TARGET => Interest::always(),
            _ => Interest::never(),
        }
    }

    fn enabled(&self, of: &Metadata<'_>) -> bool {
        of.target() == TARGET
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        if told.statement.contains(NOT_CONTROLS) {
            return;
        }
        let text = match told.statement.trim() {
            "" => &told.summary,
            whole => whole,
        };
        let begins = text.split_whitespace().take(12).collect::<Vec<_>>().join(" ");
        let mut statements = self.0.lock().unwrap();
        let count = statements.0.entry(begins).or_default();
        count.times += 1;
        count.rows += told.rows;
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

// === impl Told ===

impl Visit for Told {
    /// Postgres counts the rows of a `select` as affected, too.
    fn record_u64(&mut self, field: &Field, value: u64) {
        if matches!(field.name(), "rows_returned" | "rows_affected") {
            self.rows = self.rows.max(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
