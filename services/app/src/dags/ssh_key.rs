//! SSH keys: what is looked at before one is kept, and how one is made. Pure but for the randomness handed in.
//!
//! Only the envelope of OpenSSH's format (`PROTOCOL.key` in its source) is read: whether the key is protected, and its
//! public half, which lies there in clear.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

const MAGIC: &[u8] = b"openssh-key-v1\0";
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// PEM of other makes that OpenSSH reads.
const OTHERS: [&str; 3] = [
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
];
const PROTECTED: &str = "this key has a passphrase, which nobody could type: make one without (`ssh-keygen -N ''`) for Updraft alone";
const NO_KEY: &str = "give a private key as `ssh-keygen -t ed25519` writes it, beginning with `-----BEGIN`; or none, and one is made";
const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
const LONGEST_KNOWN_HOSTS: usize = 16 * 1024;

/// The line of `authorized_keys` of a private key, if its envelope says it.
///
/// # Errors
/// What is wrong with the key, and what to do.
pub(super) fn public_half(private: &str, comment: &str) -> Result<Option<String>, &'static str> {
    let text = private.trim();
    if text.contains("ENCRYPTED") {
        return Err(PROTECTED);
    }
    if OTHERS.iter().any(|begin| text.starts_with(begin)) && text.contains("-----END") {
        return Ok(None);
    }
    let body = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END));
    let body: Zeroizing<String> = Zeroizing::new(body.ok_or(NO_KEY)?.split_whitespace().collect());
    let bytes = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| NO_KEY)?);
    let rest = bytes.strip_prefix(MAGIC).ok_or(NO_KEY)?;
    let (cipher, rest) = string(rest).ok_or(NO_KEY)?;
    if cipher != b"none" {
        return Err(PROTECTED);
    }
    let (_kdf, rest) = string(rest).ok_or(NO_KEY)?;
    let (_options, rest) = string(rest).ok_or(NO_KEY)?;
    let rest = rest.strip_prefix(&1_u32.to_be_bytes()).ok_or(NO_KEY)?;
    let (public, _) = string(rest).ok_or(NO_KEY)?;
    line(public, comment).map(Some).ok_or(NO_KEY)
}

/// A new Ed25519 key out of 32 random bytes, and its line of `authorized_keys`.
pub(super) fn made_of(seed: &[u8; 32], check: u32, comment: &str) -> (SecretString, String) {
    let pair = SigningKey::from_bytes(seed);
    let point = pair.verifying_key().to_bytes();
    let mut public = Vec::new();
    put(&mut public, b"ssh-ed25519");
    put(&mut public, &point);

    let mut private = Zeroizing::new(Vec::new());
    private.extend(check.to_be_bytes());
    private.extend(check.to_be_bytes());
    private.extend(&public);
    put(&mut private, &pair.to_keypair_bytes());
    put(&mut private, comment.as_bytes());
    let padding = (8 - private.len() % 8) % 8;
    private.extend((1_u8..).take(padding));

    let mut whole = Zeroizing::new(MAGIC.to_vec());
    for part in [b"none".as_slice(), b"none", b""] {
        put(&mut whole, part);
    }
    whole.extend(1_u32.to_be_bytes());
    put(&mut whole, &public);
    put(&mut whole, &private);
    let text = Zeroizing::new(STANDARD.encode(whole.as_slice()));
    let mut pem = Zeroizing::new(format!("{BEGIN}\n"));
    for at in (0..text.len()).step_by(70) {
        pem.push_str(&text[at..text.len().min(at + 70)]);
        pem.push('\n');
    }
    pem.push_str(END);
    pem.push('\n');
    let public = format!("ssh-ed25519 {} {comment}", STANDARD.encode(&public));
    (SecretString::from(pem.as_str()), public)
}

/// Lines of `known_hosts`, without comments.
///
/// # Errors
/// What is wrong, and what to do.
pub(super) fn known_hosts(text: &str) -> Result<String, &'static str> {
    const MISSING: &str = "say which keys the host may show: lines of `known_hosts`, as `ssh-keyscan host` prints them (compare with what the host's owner publishes)";
    const WRONG: &str = "each line is `host type key`, as `ssh-keyscan` prints it, without markers";
    if text.len() > LONGEST_KNOWN_HOSTS {
        return Err("keep only the lines of the host that is read from");
    }
    let lines = text.lines().map(str::trim);
    let lines: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    if lines.is_empty() {
        return Err(MISSING);
    }
    let fine = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        let (hosts, kind, key) = (words.next(), words.next(), words.next());
        let plain = |c: char| c.is_ascii_graphic();
        hosts.is_some_and(|hosts| !hosts.starts_with('@') && hosts.chars().all(plain))
            && kind.is_some_and(|kind| KEY_TYPES.contains(&kind))
            && key.is_some_and(|key| key.len() > 40 && STANDARD.decode(key).is_ok())
    };
    if !lines.iter().all(fine) {
        return Err(WRONG);
    }
    Ok(lines.join("\n") + "\n")
}

/// A length and so many bytes (RFC 4251, section 5).
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

fn put(to: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    to.extend(length.to_be_bytes());
    to.extend(part);
}

fn line(public: &[u8], comment: &str) -> Option<String> {
    let (kind, _) = string(public)?;
    let kind = std::str::from_utf8(kind)
        .ok()
        .filter(|kind| KEY_TYPES.contains(kind))?;
    Some(format!("{kind} {} {comment}", STANDARD.encode(public)))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{known_hosts, made_of, public_half};

    const HOST: &str =
        "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn a_made_key_is_one_that_is_let_in() {
        let (private, public) = made_of(&[7; 32], 42, "updraft");
        assert!(public.starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") && public.ends_with(" updraft"));
        assert_eq!(
            public_half(private.expose_secret(), "updraft").unwrap(),
            Some(public)
        );
    }

    /// OpenSSH itself reads it, where there is one.
    #[test]
    fn openssh_reads_a_made_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let (private, public) = made_of(&[7; 32], 42, "updraft");
        let path = std::env::temp_dir().join(format!("updraft-key-{}", std::process::id()));
        std::fs::write(&path, private.expose_secret()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let said = std::process::Command::new("ssh-keygen")
            .arg("-yf")
            .arg(&path)
            .output();
        std::fs::remove_file(&path).unwrap();
        let Ok(said) = said else { return };
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.trim(), public);
    }

    #[test]
    fn a_key_with_a_passphrase_is_refused_and_so_is_what_is_none() {
        let protected = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAEAAAAz
-----END OPENSSH PRIVATE KEY-----";
        assert!(public_half(protected, "x").unwrap_err().contains("passphrase"));
        let pem =
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nAAAA\n-----END RSA PRIVATE KEY-----";
        assert!(public_half(pem, "x").unwrap_err().contains("passphrase"));
        let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
        assert!(public_half(pkcs8, "x").unwrap_err().contains("passphrase"));
        for none in [
            "",
            "ssh-ed25519 AAAA me",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
        ] {
            assert!(public_half(none, "x").is_err(), "{none}");
        }
        let plain = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(public_half(plain, "x"), Ok(None));
    }

    #[test]
    fn hosts_are_pinned_by_whole_lines() {
        let text = format!("# a comment\n\n{HOST}\n");
        assert_eq!(known_hosts(&text).unwrap(), format!("{HOST}\n"));
        assert!(known_hosts("\n# nothing\n").unwrap_err().contains("ssh-keyscan"));
        for bad in [
            "github.com",
            "github.com ssh-ed25519",
            "github.com ssh-ed25519 AAAA",
            "github.com ssh-dss AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
            &format!("@cert-authority {HOST}"),
            &format!("{HOST}\nnonsense"),
        ] {
            assert!(known_hosts(bad).is_err(), "{bad}");
        }
    }
}
