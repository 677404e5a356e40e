//! The door to a repository over ssh: `ssh` connects to this node, which carries its bytes to an address that the outbound
//! policy has judged. The host has to show one of the keys that the credential names; no user's or system's
//! configuration counts.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use updraft_api::agent::GitCredential;
use updraft_outbound::Door;

use super::Repository;
use super::command::{Remote, Said};
use super::door::{Listener, listen};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::Ownership;

const DIRECTORY: &str = "dags/git/ssh";
const PORT: u16 = 22;

/// The key and the host's keys, on disk for as long as ssh needs them.
struct Files {
    layout: Layout,
    key: String,
    known_hosts: String,
}

// === impl Files ===

impl Files {
    fn write(layout: &Layout, private_key: &str, known_hosts: &str) -> Result<Self> {
        let place = layout.place();
        place.directory(DIRECTORY, 0o700, Ownership::Service)?;
        let name = format!("{DIRECTORY}/{:032x}", rand::random::<u128>());
        let files = Self {
            layout: layout.clone(),
            key: format!("{name}.key"),
            known_hosts: format!("{name}.hosts"),
        };
        // ssh takes no key without an end of line.
        let private_key = format!("{}\n", private_key.trim_end());
        place.write_soon(&files.key, private_key.as_bytes(), 0o600, Ownership::Service)?;
        place.write_soon(
            &files.known_hosts,
            known_hosts.as_bytes(),
            0o600,
            Ownership::Service,
        )?;
        Ok(files)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.layout.path(file)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in [&self.key, &self.known_hosts] {
            if let Err(error) = self.layout.place().remove(file) {
                tracing::warn!(error = error.chain(), "A key that was used could not be removed");
            }
        }
    }
}

pub(super) async fn remote(repository: &Repository) -> Result<Remote> {
    let Some(GitCredential::SshKey {
        private_key,
        known_hosts,
    }) = &repository.credential
    else {
        return Err(Error::Dags(
            "a repository over ssh needs a deploy key: name a credential with one".to_owned(),
        ));
    };
    let url = &repository.url;
    let safe = |text: &str| {
        !text.is_empty() && !text.starts_with('-') && !text.contains(['\'', '"', '\\', ' ', '$', '`'])
    };
    let host = url.host_str().filter(|host| safe(host));
    let (Some(host), true) = (host, safe(url.username()) && safe(url.path())) else {
        return Err(Error::Dags(
            "the repository's address is none of ssh: write ssh://user@host/path".to_owned(),
        ));
    };
    let refused = |error: updraft_outbound::OutboundError| Error::Dags(error.to_string());
    let target = repository.outbound.ssh_door(url).map_err(refused)?;
    let files = Files::write(&repository.layout, private_key.expose_secret(), known_hosts)?;
    let (listener, address) = listen(repository).await?;
    let said = Said::default();
    // As `known_hosts` spells it.
    let alias = match url.port() {
        None | Some(PORT) => host.to_owned(),
        Some(port) => format!("[{host}]:{port}"),
    };
    let options = [
        "-F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null"
            .to_owned(),
        "-o UpdateHostKeys=no -o CheckHostIP=no -o IdentitiesOnly=yes -o IdentityAgent=none".to_owned(),
        "-o PasswordAuthentication=no -o KbdInteractiveAuthentication=no -o ClearAllForwardings=yes"
            .to_owned(),
        "-o ControlMaster=no -o ControlPath=none -o ConnectTimeout=20 -o ServerAliveInterval=15".to_owned(),
        format!("-o HostName={} -o 'HostKeyAlias={alias}'", address.ip()),
        format!(
            "-o 'UserKnownHostsFile={}'",
            files.path(&files.known_hosts).display()
        ),
        format!("-i '{}'", files.path(&files.key).display()),
    ];
    let env = [
        ("GIT_SSH_COMMAND", format!("ssh {}", options.join(" "))),
        ("GIT_SSH_VARIANT", "ssh".to_owned()),
    ];
    let carrying = tokio::spawn(carry(listener, target, said.clone())).abort_handle();
    Ok(Remote {
        url: format!("ssh://{}@{host}:{}{}", url.username(), address.port(), url.path()),
        env: env.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        said,
        hidden: vec![(format!(":{}", address.port()), String::new())],
        _open: Box::new((Listener(carrying), Arc::new(files))),
    })
}

async fn carry(listener: TcpListener, target: Door, said: Said) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut near, _)) = accepted else { continue };
                let (target, said) = (target.clone(), said.clone());
                connections.spawn(async move {
                    match target.open().await {
                        // Either end may hang up.
                        Ok(mut far) => drop(copy_bidirectional(&mut near, &mut far).await),
                        Err(error) => said.say(error.to_string()),
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
