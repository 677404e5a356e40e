//! A good signature on the wrong thing does not help: to whom, for what, until when, about whom.

use super::row::Signed::{After, Before};
use super::row::{Row, row};
use super::surgery::{acs, audience, element, in_years, replace, replace_once, request, without};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row("wrong audience", After, "saml.wrong_audience", |r| {
            replace(
                r,
                &format!("{}</ns1:Audience>", audience(r)),
                "https://other.example.com</ns1:Audience>",
            )
        }),
        row(
            "audience that only begins right",
            After,
            "saml.wrong_audience",
            |r| replace(r, "</ns1:Audience>", ".evil</ns1:Audience>"),
        ),
        row("no audience", After, "saml.wrong_audience", |r| {
            without(r, "AudienceRestriction")
        }),
        row(
            "second, wrong audience restriction",
            After,
            "saml.wrong_audience",
            |r| {
                replace(
                    r,
                    "</ns1:Conditions>",
                    "<ns1:AudienceRestriction><ns1:Audience>x</ns1:Audience></ns1:AudienceRestriction></ns1:Conditions>",
                )
            },
        ),
        row("no conditions", After, "saml.incomplete", |r| {
            without(r, "Conditions")
        }),
        row("unknown condition", After, "saml.condition", |r| {
            replace(r, "</ns1:Conditions>", "<ns1:Condition/></ns1:Conditions>")
        }),
        row("wrong recipient", After, "saml.wrong_recipient", |r| {
            replace(
                r,
                &format!("Recipient=\"{}", acs(r)),
                "Recipient=\"https://other.example.com/acs",
            )
        }),
        row("no recipient", After, "saml.wrong_recipient", |r| {
            replace(r, &format!(" Recipient=\"{}\"", acs(r)), "")
        }),
        row("wrong destination", After, "saml.wrong_destination", |r| {
            replace(
                r,
                &format!("Destination=\"{}", acs(r)),
                "Destination=\"https://other.example.com/acs",
            )
        }),
        row("answers another request", After, "saml.wrong_request", |r| {
            replace(r, request(r), "_another")
        }),
        row(
            "confirmation answers another request",
            After,
            "saml.wrong_request",
            |r| {
                let data = r.find("SubjectConfirmationData").unwrap();
                format!("{}{}", &r[..data], replace(&r[data..], request(r), "_another"))
            },
        ),
        row("answers no request", After, "saml.wrong_request", |r| {
            replace(r, &format!(" InResponseTo=\"{}\"", request(r)), "")
        }),
        row(
            "confirmation answers no request",
            After,
            "saml.wrong_request",
            |r| {
                let data = r.find("SubjectConfirmationData").unwrap();
                format!(
                    "{}{}",
                    &r[..data],
                    replace(&r[data..], &format!(" InResponseTo=\"{}\"", request(r)), "")
                )
            },
        ),
        row("wrong issuer of the assertion", After, "saml.wrong_issuer", |r| {
            let assertion = r.find("<ns1:Assertion").unwrap();
            format!(
                "{}{}",
                &r[..assertion],
                replace_once(
                    &r[assertion..],
                    "https://idp.example.com/metadata",
                    "https://evil.example.com"
                )
            )
        }),
        row("wrong issuer of the response", After, "saml.wrong_issuer", |r| {
            replace_once(r, "https://idp.example.com/metadata", "https://evil.example.com")
        }),
        row("two issuers", After, "saml.wrong_issuer", |r| {
            let assertion = r.find("<ns1:Assertion").unwrap();
            format!(
                "{}{}",
                &r[..assertion],
                replace_once(
                    &r[assertion..],
                    "</ns1:Issuer>",
                    "</ns1:Issuer><ns1:Issuer>x</ns1:Issuer>"
                )
            )
        }),
        row("expired conditions", After, "saml.expired", |r| {
            let conditions = element(r, "Conditions").to_owned();
            replace(r, &conditions, &in_years(&conditions, "NotOnOrAfter", -1))
        }),
        row("expired confirmation", After, "saml.expired", |r| {
            let data = element(r, "SubjectConfirmation").to_owned();
            replace(r, &data, &in_years(&data, "NotOnOrAfter", -1))
        }),
        row("confirmation without an end", After, "saml.incomplete", |r| {
            replace_once(
                r,
                "<ns1:SubjectConfirmationData NotOnOrAfter=",
                "<ns1:SubjectConfirmationData NotAfter=",
            )
        }),
        row("not yet valid", After, "saml.not_yet_valid", |r| {
            in_years(r, "NotBefore", 1)
        }),
        row("issued in the future", After, "saml.not_yet_valid", |r| {
            let assertion = r.find("<ns1:Assertion").unwrap();
            format!(
                "{}{}",
                &r[..assertion],
                in_years(&r[assertion..], "IssueInstant", 1)
            )
        }),
        row("unreadable time", After, "saml.incomplete", |r| {
            replace(r, " NotBefore=\"2", " NotBefore=\"soon-2")
        }),
        row("session over", After, "saml.session_over", |r| {
            replace(
                r,
                "SessionIndex=",
                "SessionNotOnOrAfter=\"2020-01-01T00:00:00Z\" SessionIndex=",
            )
        }),
        row("nobody signed in", After, "saml.incomplete", |r| {
            without(r, "AuthnStatement")
        }),
        row("status not success", Before, "saml.status", |r| {
            replace(r, "status:Success", "status:Responder")
        }),
        row("no status", Before, "saml.status", |r| without(r, "Status")),
        row("holder of key", After, "saml.confirmation", |r| {
            replace(r, "cm:bearer", "cm:holder-of-key")
        }),
        row("no confirmation", After, "saml.confirmation", |r| {
            without(r, "SubjectConfirmation")
        }),
        row("no subject", After, "saml.incomplete", |r| without(r, "Subject")),
        row("no name id", After, "saml.no_subject", |r| without(r, "NameID")),
        row("empty name id", After, "saml.no_subject", |r| {
            replace(r, ">ada<", "> <")
        }),
        row("two name ids", After, "saml.no_subject", |r| {
            replace(r, "</ns1:NameID>", "</ns1:NameID><ns1:NameID>eve</ns1:NameID>")
        }),
        row("element in the name id", After, "saml.no_subject", |r| {
            replace(r, ">ada<", ">ada<x/>.evil<")
        }),
        row("transient name id", After, "saml.transient_subject", |r| {
            replace(r, "nameid-format:persistent", "nameid-format:transient")
        }),
        row("SAML 1.1", Before, "saml.not_a_response", |r| {
            replace_once(r, "Version=\"2.0\"", "Version=\"1.1\"")
        }),
        row("wrong root", Before, "saml.not_a_response", |r| {
            replace(r, "ns0:Response", "ns0:ArtifactResponse")
        }),
        row("a bare assertion", Before, "saml.not_a_response", |r| {
            let names = "xmlns:ns1=\"urn:oasis:names:tc:SAML:2.0:assertion\" xmlns:ns2=\"http://www.w3.org/2000/09/xmldsig#\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ";
            replace_once(
                element(r, "Assertion"),
                "<ns1:Assertion ",
                &format!("<ns1:Assertion {names}"),
            )
        }),
    ]
}
