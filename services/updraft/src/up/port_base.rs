//! Which ports an installation has. They are part of its clusters' addresses and of what their nodes were told, and an address never
//! changes: the first start decides, and a later one that asks for others is refused.

use serde_json::Value;
use updraft_embedded::Layout;

use super::processes;
use crate::config::Ports;

const DEFAULT: u16 = 7700;

/// # Errors
/// When there is no room above it, or the installation has others.
pub(super) fn decide(asked: Option<u16>, layout: &Layout) -> anyhow::Result<u16> {
    let first = first(layout);
    if let (Some(asked), Some(first)) = (asked, first) {
        anyhow::ensure!(
            asked == first,
            "the installation in {} began with --port-base {first}, and its clusters keep their addresses: leave --port-base away, \
             or begin another one with --data-dir",
            layout.root().display()
        );
    }
    let base = asked.or(first).unwrap_or(DEFAULT);
    let highest = u16::MAX - Ports::COUNT;
    anyhow::ensure!(
        (1024..=highest).contains(&base),
        "--port-base {base} leaves no room: choose one from 1024 to {highest}"
    );
    Ok(base)
}

/// What control was last told: written when the servers had their ports, before the first cluster.
fn first(layout: &Layout) -> Option<u16> {
    let text = std::fs::read(processes::config_file(layout, "control")).ok()?;
    let told: Value = serde_json::from_slice(&text).ok()?;
    told["port_base"].as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use updraft_embedded::Layout;

    use super::{DEFAULT, decide};
    use crate::up::processes;

    fn begun_with(base: Option<u16>) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        if let Some(base) = base {
            let file = processes::config_file(&layout, "control");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, json!({ "port_base": base }).to_string()).unwrap();
        }
        (dir, layout)
    }

    #[test]
    fn the_first_start_decides() {
        let (_dir, new) = begun_with(None);
        assert_eq!(decide(None, &new).unwrap(), DEFAULT);
        assert_eq!(decide(Some(8800), &new).unwrap(), 8800);
        assert!(decide(Some(80), &new).is_err());
        assert!(decide(Some(u16::MAX), &new).is_err());
    }

    #[test]
    fn a_later_start_keeps_its_ports_and_is_refused_others() {
        let (_dir, old) = begun_with(Some(8800));
        assert_eq!(decide(None, &old).unwrap(), 8800);
        assert_eq!(decide(Some(8800), &old).unwrap(), 8800);
        let refused = decide(Some(DEFAULT), &old).unwrap_err().to_string();
        assert!(
            refused.contains("began with --port-base 8800") && refused.contains("leave --port-base away"),
            "{refused}"
        );
    }
}
