//! Opens a cluster's Airflow in the browser of whoever sits at the terminal.

use std::io::{IsTerminal as _, stdout};
use std::process::{Command, Stdio};

/// Whether a browser was started. Without a desktop there is none to start.
pub(super) fn in_browser(url: &str) -> bool {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !desktop || !stdout().is_terminal() {
        return false;
    }
    Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
