//! A form that holds no response of today's.

use super::genuine::encode;
use super::row::{Row, posted, written};

pub(super) fn rows() -> Vec<Row> {
    vec![
        posted("nothing", "saml.empty", |_| String::new()),
        posted("text", "saml.not_xml", |_| encode("hello")),
        posted("not UTF-8", "saml.not_utf8", |_| "PGE+/zwvYT4=".to_owned()),
        posted("UTF-16", "saml.not_utf8", |_| "//48AGEALwA+AA==".to_owned()),
        posted("no base64", "saml.not_base64", |_| "%%%".to_owned()),
        posted("base64 and a little more", "saml.not_base64", |g| {
            format!("{}!", encode(&g.said("signed_assertion")))
        }),
        posted("more than is ever read", "saml.too_large", |_| {
            "A".repeat(500_000)
        }),
        written("signed with SHA-1", "saml.algorithm", |g| g.said("sha1")),
        written("digested with SHA-1", "saml.algorithm", |g| g.said("sha1_digest")),
    ]
}
