//! What a new instance is told: `infra/boot/user-data.sh`, filled in twice. First with what is the same whenever it is asked
//! for (that half is kept with the node's request), then, at the launch, with the node's bootstrap token.
//!
//! A shell reads it, so values that could be anything but a value there are refused.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use updraft_provider::BootSecret;

use crate::config::Archive;

const TEMPLATE: &str = include_str!("../../../infra/boot/user-data.sh");
/// In bytes, before base64
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>).
const LARGEST: usize = 16 * 1024;
/// In bytes: what is left for node id, control's address and token.
const ROOM: usize = 1024;

/// Of the boot secret, what the script takes; the rest it finds on the machine.
#[derive(Deserialize)]
struct Boot {
    control_url: String,
    node: String,
    token: SecretString,
}

/// The half that is kept.
pub(crate) fn prepared(archives: &[Archive]) -> String {
    let lines: Vec<_> = archives
        .iter()
        .map(|archive| format!("{} {} {}", archive.sha256, archive.directory, archive.url))
        .collect();
    without_comments(TEMPLATE)
        .replace("{{ARCHIVES}}", &lines.join("\n"))
        .replace("{{BOOT_LOG_URL}}", "")
}

/// The whole, as the instance gets it; None: the secret is none, or has no place in a script.
pub(crate) fn complete(prepared: &str, boot: &BootSecret) -> Option<SecretString> {
    let boot: Boot = serde_json::from_str(boot.0.expose_secret()).ok()?;
    let token = boot.token.expose_secret();
    if ![&boot.control_url, &boot.node, token]
        .into_iter()
        .all(is_harmless)
    {
        return None;
    }
    let whole = prepared
        .replace("{{NODE}}", &boot.node)
        .replace("{{CONTROL_URL}}", &boot.control_url)
        .replace("{{TOKEN}}", token);
    (whole.len() <= LARGEST).then(|| whole.into())
}

pub(crate) fn fits(archives: &[Archive]) -> bool {
    prepared(archives).len() + ROOM <= LARGEST
}

/// Whether the text stays a value between single quotes, in double quotes and in a here-document's line.
pub(crate) fn is_harmless(text: &str) -> bool {
    let harmless = |c: char| c.is_ascii_graphic() && !"'\"\\`${}".contains(c);
    text.chars().all(harmless)
}

/// Comments name the places too, and 16 KiB are not much.
fn without_comments(script: &str) -> String {
    let is_kept = |(number, line): &(usize, &str)| *number == 0 || !line.trim_start().starts_with('#');
    let kept = script.lines().enumerate().filter(is_kept);
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archives() -> Vec<Archive> {
        vec![Archive {
            sha256: "0".repeat(64),
            directory: "agent".to_owned(),
            url: "https://b/agent.tar.gz".parse().unwrap(),
        }]
    }

    fn boot(token: &str) -> BootSecret {
        let text =
            serde_json::json!({"control_url": "https://agents.example.com", "node": "n-1", "token": token});
        BootSecret(text.to_string().into())
    }

    #[test]
    fn every_place_is_filled_and_the_token_only_at_the_launch() {
        let prepared = prepared(&archives());
        assert!(!prepared.contains("secret-token") && prepared.contains("{{TOKEN}}"));
        let whole = complete(&prepared, &boot("secret-token")).unwrap();
        let whole = whole.expose_secret();
        assert!(
            whole.starts_with("#!/bin/sh\n") && !whole.contains("{{"),
            "{whole}"
        );
        for part in [
            "TOKEN='secret-token'",
            "NODE='n-1'",
            "CONTROL_URL='https://agents.example.com'",
            &format!("\n{} agent https://b/agent.tar.gz\n", "0".repeat(64)),
        ] {
            assert_eq!(whole.matches(part).count(), 1, "{part}");
        }
    }

    #[test]
    fn what_a_shell_could_run_is_refused() {
        for token in ["a'; reboot '", "a\nb", "$(reboot)", "`reboot`", "a b", "{{NODE}}"] {
            assert!(
                complete(&prepared(&archives()), &boot(token)).is_none(),
                "{token}"
            );
        }
        assert!(complete(&prepared(&archives()), &BootSecret("no JSON".into())).is_none());
    }

    #[test]
    fn a_shell_reads_it() {
        let script = complete(&prepared(&archives()), &boot("t")).unwrap();
        let checked = std::process::Command::new("sh")
            .args(["-n", "-c", script.expose_secret()])
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
}
