//! What a new instance is told: `infra/boot/user-data.sh`, filled in twice. First with what is the same whenever it is asked
//! for (that half is kept with the node's request), then, at the launch, with the node's bootstrap token and with addresses
//! that are good for a short time. Packed, since those are long; cloud-init unpacks it.
//!
//! A shell reads it, so values that could be anything but a value there are refused.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::Deserialize;
use updraft_aws::Opens;
use updraft_provider::BootSecret;

use crate::boot_logs;
use crate::config::Archive;

const TEMPLATE: &str = include_str!("../../../infra/boot/user-data.sh");
/// In bytes, before base64
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>).
const LARGEST: usize = 16 * 1024;
/// In bytes: what is left for node id, control's address and token, and for the session in which addresses are signed.
const ROOM: usize = 4096;
/// In bytes: what an address takes beyond that.
const ADDRESS: usize = 256;
/// Where the address of a boot's log comes.
const LOG: &str = "{{BOOT_LOG_URL}}";

/// Of the boot secret, what the script takes; the rest it finds on the machine.
#[derive(Deserialize)]
pub(crate) struct Boot {
    control_url: String,
    node: String,
    token: SecretString,
}

// === impl Boot ===

impl Boot {
    /// None: the secret is none.
    pub(crate) fn read(boot: &BootSecret) -> Option<Self> {
        serde_json::from_str(boot.0.expose_secret()).ok()
    }
}

/// The half that is kept.
pub(crate) fn prepared(archives: &[Archive]) -> String {
    let lines: Vec<_> = archives.iter().map(line).collect();
    without_comments(TEMPLATE).replace("{{ARCHIVES}}", &lines.join("\n"))
}

fn line(archive: &Archive) -> String {
    let from = match (&archive.key, &archive.url) {
        (Some(key), _) => place_of(key),
        (None, Some(url)) => url.to_string(),
        (None, None) => String::new(),
    };
    format!("{} {} {from}", archive.sha256, archive.directory)
}

fn place_of(key: &str) -> String {
    format!("{{{{GET {key}}}}}")
}

/// Objects that the kept half has places for; `boot`'s log is the last.
pub(crate) fn objects(prepared: &str, boot: &Boot) -> Vec<(Opens, String)> {
    let keys = prepared
        .split("{{GET ")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"));
    let archives = keys.map(|(key, _)| (Opens::Reading, key.to_owned()));
    let log = (Opens::Writing, boot_logs::key(&boot.node));
    archives.chain([log]).collect()
}

/// The whole, as the instance gets it. `addresses`: of [`objects`], or none at all. None: something has no place in a
/// script, or it is too long.
pub(crate) fn complete(
    prepared: &str,
    boot: &Boot,
    addresses: &[(Opens, String, String)],
) -> Option<SecretSlice<u8>> {
    let token = boot.token.expose_secret();
    let values = [boot.control_url.as_str(), &boot.node, token].into_iter();
    let mut values = values.chain(addresses.iter().map(|(_, _, address)| address.as_str()));
    if !values.all(is_harmless) {
        return None;
    }
    let opened = addresses
        .iter()
        .fold(prepared.to_owned(), |text, (opens, key, address)| {
            let place = match opens {
                Opens::Reading => place_of(key),
                Opens::Writing => LOG.to_owned(),
            };
            text.replace(&place, address)
        });
    let whole = opened
        .replace(LOG, "")
        .replace("{{NODE}}", &boot.node)
        .replace("{{CONTROL_URL}}", &boot.control_url)
        .replace("{{TOKEN}}", token);
    let packed = packed(&whole)?;
    (!whole.contains("{{") && packed.len() <= LARGEST).then(|| packed.into())
}

pub(crate) fn fits(archives: &[Archive]) -> bool {
    let packed = packed(&prepared(archives)).map_or(LARGEST, |packed| packed.len());
    packed + ROOM + ADDRESS * (archives.len() + 1) <= LARGEST
}

/// The same for the same text: no time is noted in it.
fn packed(text: &str) -> Option<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(text.as_bytes()).ok()?;
    packed.finish().ok()
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
    use std::io::Read as _;

    use super::*;

    fn archive(directory: &str, key: Option<&str>) -> Archive {
        Archive {
            sha256: "0".repeat(64),
            directory: directory.to_owned(),
            key: key.map(ToOwned::to_owned),
            url: key.is_none().then(|| "https://b/agent.tar.gz".parse().unwrap()),
        }
    }

    fn boot(token: &str) -> Boot {
        let text =
            serde_json::json!({"control_url": "https://agents.example.com", "node": "n-1", "token": token});
        Boot::read(&BootSecret(text.to_string().into())).unwrap()
    }

    fn addresses(prepared: &str, of: impl Fn(&str) -> String) -> Vec<(Opens, String, String)> {
        let objects = objects(prepared, &boot("t"));
        let addressed = objects.into_iter().map(|(opens, key)| {
            let address = of(&key);
            (opens, key, address)
        });
        addressed.collect()
    }

    fn unpacked(whole: &SecretSlice<u8>) -> String {
        let mut text = String::new();
        let mut packed = flate2::read::GzDecoder::new(whole.expose_secret());
        packed.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn every_place_is_filled_and_secrets_only_at_the_launch() {
        let prepared = prepared(&[
            archive("agent", None),
            archive("tools", Some("archives/tools.tar.gz")),
        ]);
        assert!(!prepared.contains("secret-token") && prepared.contains("{{TOKEN}}"));
        let addresses = addresses(&prepared, |key| format!("https://s3/{key}?X-Amz-Signature=0"));
        let whole = unpacked(&complete(&prepared, &boot("secret-token"), &addresses).unwrap());
        assert!(
            whole.starts_with("#!/bin/sh\n") && !whole.contains("{{"),
            "{whole}"
        );
        for part in [
            "TOKEN='secret-token'",
            "NODE='n-1'",
            "CONTROL_URL='https://agents.example.com'",
            "BOOT_LOG_URL='https://s3/boot/n-1.log?X-Amz-Signature=0'",
            &format!("\n{} agent https://b/agent.tar.gz\n", "0".repeat(64)),
            &format!(
                "\n{} tools https://s3/archives/tools.tar.gz?X-Amz-Signature=0\n",
                "0".repeat(64)
            ),
        ] {
            assert_eq!(whole.matches(part).count(), 1, "{part}");
        }
    }

    #[test]
    fn without_a_bucket_the_boots_log_stays_where_it_is() {
        let prepared = prepared(&[archive("agent", None)]);
        let whole = unpacked(&complete(&prepared, &boot("t"), &[]).unwrap());
        assert!(whole.contains("BOOT_LOG_URL=''"));
        let unsigned = super::prepared(&[archive("agent", Some("agent.tar.gz"))]);
        assert!(complete(&unsigned, &boot("t"), &[]).is_none());
    }

    #[test]
    fn what_a_shell_could_run_is_refused() {
        let prepared = prepared(&[archive("agent", None)]);
        for token in ["a'; reboot '", "a\nb", "$(reboot)", "`reboot`", "a b", "{{NODE}}"] {
            assert!(complete(&prepared, &boot(token), &[]).is_none(), "{token}");
            let addresses = addresses(&prepared, |_| format!("https://s3/{token}"));
            assert!(complete(&prepared, &boot("t"), &addresses).is_none(), "{token}");
        }
        assert!(Boot::read(&BootSecret("no JSON".into())).is_none());
    }

    /// A role's session is some 1,000 to 1,500 random signs, in each address.
    #[test]
    fn it_is_small_enough_with_addresses_of_a_role() {
        let session: String = (0..1500)
            .map(|_| char::from(b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"[rand_below(57)]))
            .collect();
        let archives =
            ["agent", "runtimes/airflow-3.3.2", "tools"].map(|directory| archive(directory, Some(directory)));
        assert!(fits(&archives));
        let prepared = prepared(&archives);
        let signed = |key: &str| {
            let signature: String = (0..64)
                .map(|_| char::from(b"0123456789abcdef"[rand_below(16)]))
                .collect();
            format!(
                "https://prod-artifacts.s3.eu-central-1.amazonaws.com/{key}?X-Amz-Security-Token={session}&X-Amz-Signature={signature}"
            )
        };
        let whole = complete(&prepared, &boot(&"0".repeat(64)), &addresses(&prepared, signed)).unwrap();
        assert!(whole.expose_secret().len() < LARGEST * 2 / 3);
    }

    fn rand_below(end: usize) -> usize {
        uuid::Uuid::now_v7().as_bytes()[15] as usize % end
    }

    #[test]
    fn a_shell_reads_it() {
        let script = complete(&prepared(&[archive("agent", None)]), &boot("t"), &[]).unwrap();
        let checked = std::process::Command::new("sh")
            .args(["-n", "-c", &unpacked(&script)])
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
}
