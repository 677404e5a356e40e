//! People whom the provider vouches for and who are not meant, or of whom it says too little.

use serde_json::json;
use updraft_model::{OidcConfig, OidcPreset};

use super::row::{Row, provider, set_up, without};

pub(super) fn rows() -> Vec<Row> {
    vec![
        set_up("another hosted domain", "oidc.other_domain", google, |conduct| {
            conduct.claims = |claims| claims["hd"] = json!("attacker.example");
        }),
        set_up("a private Google account", "oidc.other_domain", google, |_| {}),
        set_up(
            "a hosted domain that ends like ours",
            "oidc.other_domain",
            google,
            |conduct| {
                conduct.claims = |claims| claims["hd"] = json!("not-example.com");
            },
        ),
        set_up(
            "Google without a hosted domain",
            "oidc.hosted_domain_unset",
            |config| {
                google(config);
                config.hosted_domains.clear();
            },
            |_| {},
        ),
        provider("groups elsewhere (Entra)", "oidc.groups_overage", |conduct| {
            conduct.claims = |claims| {
                without(claims, "groups");
                claims["_claim_names"] = json!({"groups": "src1"});
                claims["_claim_sources"] = json!({"src1": {"endpoint": "http://169.254.169.254/"}});
            };
        }),
        provider(
            "too many groups to say (Entra)",
            "oidc.groups_overage",
            |conduct| {
                conduct.claims = |claims| {
                    without(claims, "groups");
                    claims["hasgroups"] = json!(true);
                };
            },
        ),
        provider(
            "more groups than anybody has",
            "oidc.too_many_groups",
            |conduct| {
                conduct.groups = (0..1001)
                    .map(|number| format!("group-{number}"))
                    .collect::<Vec<_>>()
                    .into();
            },
        ),
        provider("groups that are no names", "oidc.groups_malformed", |conduct| {
            conduct.groups = json!([{"name": "data-platform"}]);
        }),
        provider("groups that are yes", "oidc.groups_malformed", |conduct| {
            conduct.groups = json!(true);
        }),
    ]
}

fn google(config: &mut OidcConfig) {
    config.preset = OidcPreset::Google;
    config.groups_claim = None;
    config.hosted_domains = vec!["example.com".to_owned()];
}
