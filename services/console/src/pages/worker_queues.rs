//! Queues as people type them, one a line: `heavy=2,concurrency=1`.

use updraft_app::AppError;
use updraft_model::{ClusterSpec, WorkerQueue};

pub(crate) fn read(text: &str) -> Result<Vec<WorkerQueue>, AppError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let queue = |line: &str| {
        line.parse::<WorkerQueue>().map_err(|error| AppError::Invalid {
            field: "worker_queues".to_owned(),
            why: error.to_string(),
        })
    };
    lines.map(queue).collect()
}

pub(crate) fn write(queues: &[WorkerQueue]) -> String {
    let lines: Vec<_> = queues.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Whether the size of `default` is said there, and nowhere else.
pub(crate) fn say_default(spec: &ClusterSpec) -> bool {
    spec.worker_queues.iter().any(|queue| queue.name.is_default())
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn what_was_typed_comes_back_tidied() {
        let typed = " heavy = 2 \r\n\nmail=1, concurrency=16";
        assert_eq!(
            write(&read(typed).unwrap()),
            "heavy=2,concurrency=2\nmail=1,concurrency=16"
        );
        assert!(read("heavy").is_err());
    }
}
