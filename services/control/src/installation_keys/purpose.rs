//! What each key is for, and who has to know of it. Pure, but for the randomness of new ones.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use updraft_planner::key_turn::{KeyStanding, TurningKey};
use updraft_store::installation_keys::{Said, Sayings};
use updraft_store::secrets::{ControlKey, random_token};

use super::InstallationKeysError;
use crate::tunnels::Authority;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Edges sign with it who somebody is; web nodes' Airflow believes it.
    Airflow,
    /// Edges' certificates for tunnels are under it; web nodes' agents believe it.
    TunnelAuthority,
    /// Web nodes' tokens for tunnels are worked out from it; edges know those tokens by their digests.
    TunnelToken,
}

// === impl Purpose ===

impl Purpose {
    pub const ALL: [Self; 3] = [Self::Airflow, Self::TunnelAuthority, Self::TunnelToken];

    /// Also of its first key; later ones add a number.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Airflow => "airflow",
            Self::TunnelAuthority => "tunnel-authority",
            Self::TunnelToken => "tunnel-token",
        }
    }

    /// Of no use where edges reach web nodes directly.
    #[must_use]
    pub fn is_of_tunnels(self) -> bool {
        match self {
            Self::Airflow => false,
            Self::TunnelAuthority | Self::TunnelToken => true,
        }
    }

    pub(super) fn fresh(self) -> Result<SecretString, InstallationKeysError> {
        match self {
            Self::Airflow => Ok(hex::encode(rand::random::<[u8; 32]>()).into()),
            Self::TunnelAuthority => Ok(Authority::generate()?.kept()?),
            Self::TunnelToken => Ok(random_token()),
        }
    }

    /// Who has to believe a key before it is used.
    fn believers(self, said: &Sayings) -> &[Said] {
        match self {
            Self::Airflow | Self::TunnelAuthority => &said.nodes,
            Self::TunnelToken => &said.edges,
        }
    }

    /// Who uses it.
    fn users(self, said: &Sayings) -> &[Said] {
        match self {
            Self::Airflow | Self::TunnelAuthority => &said.edges,
            Self::TunnelToken => &said.nodes,
        }
    }
}

pub(super) fn turning(kept: Vec<ControlKey>) -> Vec<TurningKey> {
    let keys = kept.into_iter().map(|key| TurningKey {
        name: key.name,
        made_at: key.created_at,
        signs_since: key.signs_since,
        is_asked: key.is_asked,
        is_distrusted: key.is_distrusted,
    });
    keys.collect()
}

/// What was said, about keys of this purpose. Of who was silent for a minute nothing is expected but that it may still use
/// what it used.
pub(super) fn standing(
    purpose: Purpose,
    keys: &[TurningKey],
    said: &Sayings,
    now: DateTime<Utc>,
) -> KeyStanding {
    let newest = keys.last().map(|key| &key.name);
    let current = keys.iter().rev().find(|key| key.signs_since.is_some());
    let current = current.map(|key| &key.name);
    let lacks = |keys: Option<&Vec<String>>, name: Option<&String>| match (keys, name) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(keys), Some(name)) => !keys.contains(name),
    };
    let (controls, edges) = (&said.controls, &said.edges);
    let believers = || purpose.believers(said).iter().filter(|one| one.lives);
    let times = controls.iter().map(|one| one.since);
    let times = times.chain(edges.iter().filter(|edge| edge.lives).map(|edge| edge.since));
    KeyStanding {
        silent: controls.iter().filter(|one| one.known.is_none()).count()
            + edges
                .iter()
                .filter(|edge| edge.lives && edge.keys.is_none())
                .count(),
        unaware: controls
            .iter()
            .filter(|one| lacks(one.known.as_ref(), newest))
            .count()
            + believers().filter(|one| lacks(one.keys.as_ref(), newest)).count(),
        behind: controls
            .iter()
            .filter(|one| lacks(Some(&one.signing), current))
            .count()
            + purpose
                .users(said)
                .iter()
                .filter(|one| lacks(one.keys.as_ref(), current))
                .count(),
        since: times.max().unwrap_or(now),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use updraft_store::installation_keys::ControlSaid;

    use super::*;

    fn key(name: &str, signs: bool) -> TurningKey {
        TurningKey {
            name: name.to_owned(),
            made_at: DateTime::UNIX_EPOCH,
            signs_since: signs.then_some(DateTime::UNIX_EPOCH),
            is_asked: false,
            is_distrusted: false,
        }
    }

    fn said(keys: Option<&[&str]>, lives: bool) -> Said {
        Said {
            keys: keys.map(names),
            since: DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::from(lives)),
            lives,
        }
    }

    fn names(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|name| (*name).to_owned()).collect()
    }

    fn control(known: Option<&[&str]>, signing: &[&str]) -> ControlSaid {
        ControlSaid {
            known: known.map(names),
            signing: names(signing),
            since: DateTime::UNIX_EPOCH,
        }
    }

    fn counted(keys: &[TurningKey], said: &Sayings) -> (usize, usize, usize) {
        counted_of(Purpose::Airflow, keys, said)
    }

    fn counted_of(purpose: Purpose, keys: &[TurningKey], said: &Sayings) -> (usize, usize, usize) {
        let standing = standing(purpose, keys, said, DateTime::UNIX_EPOCH);
        (standing.silent, standing.unaware, standing.behind)
    }

    #[test]
    fn every_web_node_and_every_control_has_to_know_the_next_key() {
        let keys = [key("airflow", true), key("airflow-2", false)];
        let both: &[&str] = &["airflow", "airflow-2"];
        let mut all = Sayings {
            controls: vec![control(Some(both), &["airflow"])],
            edges: vec![said(Some(&["airflow"]), true)],
            nodes: vec![said(Some(both), true)],
        };
        assert_eq!(counted(&keys, &all), (0, 0, 0));
        all.nodes.push(said(Some(&["airflow"]), true));
        all.nodes.push(said(None, true));
        all.controls.push(control(Some(&["airflow"]), &["airflow"]));
        assert_eq!(counted(&keys, &all), (0, 3, 0));
    }

    #[test]
    fn an_edge_that_fell_silent_may_still_use_what_it_used() {
        let keys = [key("airflow", true), key("airflow-2", true)];
        let all = Sayings {
            controls: vec![control(Some(&["airflow-2"]), &["airflow-2"])],
            edges: vec![said(Some(&["airflow"]), false), said(Some(&["airflow-2"]), true)],
            nodes: Vec::new(),
        };
        assert_eq!(counted(&keys, &all), (0, 0, 1));
    }

    #[test]
    fn of_tokens_for_tunnels_edges_are_the_ones_who_believe_and_web_nodes_those_who_use() {
        let keys = [key("tunnel-token", true), key("tunnel-token-2", true)];
        let (old, both): (&[&str], &[&str]) = (&["tunnel-token"], &["tunnel-token", "tunnel-token-2"]);
        let all = Sayings {
            controls: vec![control(Some(both), &["tunnel-token-2"])],
            edges: vec![
                said(Some(both), true),
                said(Some(old), true),
                said(Some(old), false),
            ],
            nodes: vec![said(Some(&["tunnel-token-2"]), true), said(Some(old), true)],
        };
        assert_eq!(counted_of(Purpose::TunnelToken, &keys, &all), (0, 1, 1));
    }

    #[test]
    fn who_is_of_an_older_release_says_nothing() {
        let keys = [key("airflow", true)];
        let all = Sayings {
            controls: vec![control(None, &[])],
            edges: vec![said(None, true), said(None, false)],
            nodes: vec![said(None, true)],
        };
        assert_eq!(counted(&keys, &all).0, 2);
    }
}
