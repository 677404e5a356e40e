//! What is no plain XML is not read, and what is too much of it neither.

use super::row::Signed::{After, Before};
use super::row::{Row, row};
use super::surgery::{replace, replace_once};

const DECLARATION: &str = "<?xml version=\"1.0\"?>";

pub(super) fn rows() -> Vec<Row> {
    vec![
        row("comment in the name id", Before, "saml.comment", |r| {
            replace(r, ">ada<", ">ada<!---->.evil<")
        }),
        row("comment in the name id, signed", After, "saml.comment", |r| {
            replace(r, ">ada<", ">ada<!-- x -->.evil<")
        }),
        row(
            "processing instruction in the name id",
            Before,
            "saml.processing_instruction",
            |r| replace(r, ">ada<", ">ada<?x y?><"),
        ),
        row(
            "processing instruction before it all",
            Before,
            "saml.processing_instruction",
            |r| replace(r, DECLARATION, "<?xml version=\"1.0\"?><?x y?>"),
        ),
        row("document type", Before, "saml.dtd", |r| {
            replace(r, DECLARATION, "<!DOCTYPE Response>")
        }),
        row("billion laughs", Before, "saml.dtd", |r| {
            replace(r, DECLARATION, &laughs())
        }),
        row("external entity", Before, "saml.dtd", |r| {
            replace(
                &replace(
                    r,
                    DECLARATION,
                    "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>",
                ),
                ">ada<",
                ">&x;<",
            )
        }),
        row("unknown entity", Before, "saml.not_xml", |r| {
            replace(r, ">ada<", ">&x;<")
        }),
        row("external document type", Before, "saml.dtd", |r| {
            replace(r, DECLARATION, "<!DOCTYPE r SYSTEM \"http://169.254.169.254/\">")
        }),
        row("another encoding", Before, "saml.not_utf8", |r| {
            replace(r, DECLARATION, "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>")
        }),
        row("huge", Before, "saml.too_large", |r| {
            replace(r, ">ada<", &format!(">{}<", "a".repeat(300_000)))
        }),
        row("deep", Before, "saml.not_xml", |r| {
            replace(
                r,
                ">ada<",
                &format!(">{}{}<", "<a>".repeat(20_000), "</a>".repeat(20_000)),
            )
        }),
        row("many attributes", Before, "saml.not_xml", |r| {
            let many: String = (0..15_000).map(|n| format!(" a{n}=\"\"")).collect();
            replace_once(r, "<ns0:Status>", &format!("<ns0:Status{many}>"))
        }),
        row("many elements", Before, "saml.wrong_signature", |r| {
            replace(r, ">ada<", &format!(">{}<", "<a/>".repeat(60_000)))
        }),
        row("many namespaces", Before, "saml.wrong_signature", |r| {
            let names = |depth: usize| -> String {
                (0..60)
                    .map(|n| format!(" xmlns:a{depth}-{n}=\"u:{n}\""))
                    .collect()
            };
            let open: String = (0..40).map(|depth| format!("<a{}>", names(depth))).collect();
            replace(
                r,
                ">ada<",
                &format!(">{open}{}{}<", "<a/>".repeat(40_000), "</a>".repeat(40)),
            )
        }),
        row("two assertions", After, "saml.assertion_count", |r| {
            replace(r, "</ns0:Response>", "<ns1:Assertion/></ns0:Response>")
        }),
        row("assertion outside", Before, "saml.not_xml", |r| {
            format!("{r}<Assertion/>")
        }),
        row("cut short", Before, "saml.not_xml", |r| {
            r[..r.len() / 2].to_owned()
        }),
    ]
}

fn laughs() -> String {
    let mut dtd = "<!DOCTYPE lolz [<!ENTITY a0 \"lol\">".to_owned();
    for n in 1..10 {
        dtd.push_str(&format!(
            "<!ENTITY a{n} \"{}\">",
            format!("&a{};", n - 1).repeat(10)
        ));
    }
    dtd + "]>"
}
