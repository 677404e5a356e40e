//! What a node's machine said while it booted: for the admins of its cluster, also when the node never reported and is gone.
//!
//! Whoever has the node wrote it: it is taken as text, in part, and never for more than words. What opens something is taken
//! out of it, although an honest boot leaves it out itself.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use updraft_api::boot_log::BootLogView;
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, NodeId};
use updraft_store::node_identity;
use updraft_store::node_list::{self, FoundNode};

use crate::{App, AppError, Resource, access};

/// In bytes: the end of a log says why a boot failed.
const MOST: usize = 64 << 10;
const REMOVED: &str = "(removed)";

/// Where nodes leave them.
#[async_trait]
pub trait BootLogs: Send + Sync {
    /// The last so many bytes; none: it left none, or not yet.
    ///
    /// # Errors
    /// In words for people.
    async fn end_of(&self, node: NodeId, most: usize) -> Result<Option<Vec<u8>>, String>;
}

/// None: nodes boot no machine.
#[derive(Clone, Default)]
pub(crate) struct BootLogReader(pub(crate) Option<Arc<dyn BootLogs>>);

impl fmt::Debug for BootLogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BootLogReader").field(&self.0.is_some()).finish()
    }
}

impl App {
    /// The end of what the node said while it booted. `place` is its id, or its label: then the newest of that place.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`].
    pub async fn boot_log(&self, actor: &Actor, id: ClusterId, place: &str) -> Result<BootLogView, AppError> {
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::ReadServiceLogs).await?;
        let found = node_list::find(&mut connection, actor.tenant, id, place).await?;
        let node = found.ok_or(AppError::NotFound(Resource::Node))?;
        drop(connection);
        let view = |text, cut, missing| BootLogView {
            node: node.id,
            label: node.label.clone(),
            text,
            cut,
            missing,
        };
        let Some(logs) = &self.boot_logs().0 else {
            return Ok(view(None, false, Some(boots_nothing())));
        };
        Ok(match logs.end_of(node.id, MOST).await {
            Ok(Some(read)) => {
                let (text, cut) = shown(&read, &self.boot_secrets(node.id));
                view(Some(text), cut, None)
            }
            Ok(None) => view(None, false, Some(not_there(&node))),
            Err(why) => {
                tracing::warn!(node.id = %node.id, %why, "a boot log cannot be read");
                view(
                    None,
                    false,
                    Some(format!("It cannot be read now: {why}. Try again in a minute.")),
                )
            }
        })
    }

    fn boot_secrets(&self, node: NodeId) -> Vec<String> {
        let each = self
            .config()
            .master_key
            .derive_each(&node_identity::bootstrap_context(node));
        each.iter()
            .map(|token| token.expose_secret().to_owned())
            .collect()
    }
}

fn boots_nothing() -> String {
    "Nodes of this installation are processes of one machine: they boot nothing. What its agent says is among the cluster’s logs."
        .to_owned()
}

fn not_there(node: &FoundNode) -> String {
    match (node.is_gone, node.has_reported) {
        (false, false) => "It is not there yet: a machine leaves it when its boot has ended, well or not. That takes some seconds to minutes.",
        (false, true) => "This node left none. What its agent says since is among the cluster’s logs.",
        (true, _) => "This node left none, and is gone: its machine was ended before it booted, or could not reach the bucket.",
    }
    .to_owned()
}

/// What people get to see of it, and whether its beginning is missing.
fn shown(read: &[u8], secrets: &[String]) -> (String, bool) {
    let cut = read.len() >= MOST;
    let text = String::from_utf8_lossy(read);
    let whole_lines = match (cut, text.find('\n')) {
        (true, Some(end)) => &text[end + 1..],
        _ => text.as_ref(),
    };
    let is_text = |sign: &char| matches!(sign, '\n' | '\t') || !sign.is_control();
    let mut clean: String = whole_lines.chars().filter(is_text).collect();
    for secret in secrets {
        clean = clean.replace(secret.as_str(), REMOVED);
    }
    (without_signatures(&clean), cut)
}

/// Values of what signs an address: `X-Amz-Signature=…`.
fn without_signatures(text: &str) -> String {
    const BEGINS: &str = "X-Amz-";
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGINS) {
        let (before, from) = rest.split_at(at);
        clean.push_str(before);
        let ends = |sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | '<' | '>');
        let end = from.find(ends).unwrap_or(from.len());
        clean.push_str(REMOVED);
        rest = &from[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_something_is_taken_out() {
        let said =
            "booted with t0ken\nGET https://b/boot/1.log?X-Amz-Credential=a&X-Amz-Signature=b failed\n";
        let (text, cut) = shown(said.as_bytes(), &["t0ken".to_owned()]);
        assert_eq!(
            text,
            "booted with (removed)\nGET https://b/boot/1.log?(removed) failed\n"
        );
        assert!(!cut);
    }

    #[test]
    fn it_is_text_and_nothing_else() {
        let (text, _) = shown(b"\x1b[31mred\x00\r\n\xff<b>\n", &[]);
        assert_eq!(text, "[31mred\n\u{fffd}<b>\n");
    }

    #[test]
    fn a_long_one_begins_with_a_whole_line() {
        let mut said = b"half a line\n".to_vec();
        said.resize(MOST, b'x');
        let (text, cut) = shown(&said, &[]);
        assert!(cut && text.starts_with('x'));
    }
}
