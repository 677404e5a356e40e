//! How many rows there are, so that none is lost unnoticed.

use std::collections::HashSet;

use updraft_hostile::{oidc, outbound, saml};

use crate::scene::{TooFar, Worthless};
use crate::{forwarded, sessions, tokens, way_back};

/// Each suite with the least it may have: raise it with every row that is added.
fn suites() -> Vec<(&'static str, usize, Vec<String>)> {
    let far = |rows: Vec<TooFar>| rows.into_iter().map(|row| row.name.to_owned()).collect();
    vec![
        ("OpenID Connect", 121, named(&crate::oidc::rows(), |row| row.name)),
        ("SAML", 118, named(&crate::saml::rows(), |row| row.name)),
        (
            "logout by a provider",
            13,
            named(&oidc::logout_rows(), |row| row.name),
        ),
        (
            "logout by a SAML provider",
            13,
            named(&saml::logout_rows(), |row| row.name),
        ),
        ("ways back", 11, named(&way_back::ROWS, |row| row)),
        ("sessions", 58, at_doors(&sessions::worthless())),
        ("sessions that reach too far", 18, far(sessions::too_far())),
        ("hand-over codes", 7, far(sessions::handed_over())),
        ("tokens", 25, at_doors(&tokens::worthless())),
        ("tokens that reach too far", 23, far(tokens::too_far())),
        (
            "addresses that are only claimed",
            16,
            named(&forwarded::ROWS, |row| row.name),
        ),
        ("addresses inside", 43, named(&outbound::rows(), |row| row.name)),
        (
            "redirects inside",
            10,
            named(&outbound::redirects(), |row| row.name),
        ),
        (
            "rebindings",
            3,
            named(&crate::outbound::rebindings(), |row| row.0),
        ),
    ]
}

#[test]
fn no_row_is_lost_and_each_has_a_name_of_its_own() {
    let mut all = 0;
    for (suite, least, rows) in suites() {
        let names: HashSet<_> = rows.iter().collect();
        assert_eq!(names.len(), rows.len(), "{suite}: two rows of one name");
        assert!(rows.len() >= least, "{suite}: {} rows, not {least}", rows.len());
        all += rows.len();
    }
    assert!(all >= 466, "{all}");
}

fn named<T>(rows: &[T], name: fn(&T) -> &str) -> Vec<String> {
    rows.iter().map(|row| name(row).to_owned()).collect()
}

fn at_doors(rows: &[Worthless]) -> Vec<String> {
    let all = rows.iter().flat_map(|row| {
        row.doors
            .iter()
            .map(move |door| format!("{} ({door:?})", row.name))
    });
    all.collect()
}
