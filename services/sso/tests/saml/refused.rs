//! What is refused, each beside the same response without the mutation. Where the mutation is signed anew by the real provider's
//! key, it is the profile that refuses, not the signature. The responses were recorded in 2026.

use std::time::{Duration, Instant};

use crate::fixture::{
    ACS, REQUEST, SP, Situation, attackers_certificate, encode, recorded, signed_again, signed_by_attacker,
};
use crate::surgery::{blank, element, replace, replace_once, without};

#[derive(Clone, Copy)]
enum Signed {
    /// By the provider, before the mutation.
    Before,
    /// By the provider, mutation and all.
    After,
    /// By someone else, mutation and all.
    ByAttacker,
}
use Signed::{After, Before, ByAttacker};

struct Row {
    name: &'static str,
    mutate: fn(&str) -> String,
    signed: Signed,
    code: &'static str,
}

const fn row(name: &'static str, signed: Signed, code: &'static str, mutate: fn(&str) -> String) -> Row {
    Row {
        name,
        mutate,
        signed,
        code,
    }
}

const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const EXCLUSIVE_TRANSFORM: &str = "<ns2:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
const EXCLUSIVE_METHOD: &str =
    "<ns2:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
const DECLARATION: &str = "<?xml version=\"1.0\"?>";

const SIGNATURES: [Row; 24] = [
    row("unsigned", Before, "saml.unsigned", |r| without(r, "Signature")),
    row("signature value stripped", Before, "saml.wrong_signature", |r| {
        blank(r, "SignatureValue")
    }),
    row("digest stripped", Before, "saml.wrong_signature", |r| {
        blank(r, "DigestValue")
    }),
    row("name id tampered", Before, "saml.wrong_signature", |r| {
        replace(r, ">ada<", ">eve<")
    }),
    row("group tampered", Before, "saml.wrong_signature", |r| {
        replace(r, ">everyone<", ">admins<")
    }),
    row("attribute added", Before, "saml.wrong_signature", |r| {
        replace(
            r,
            "</ns1:AttributeStatement>",
            "<ns1:Attribute Name=\"x\"/></ns1:AttributeStatement>",
        )
    }),
    row("audience tampered", Before, "saml.wrong_signature", |r| {
        replace(r, "metadata</ns1:Audience>", "m</ns1:Audience>")
    }),
    row("conditions prolonged", Before, "saml.wrong_signature", |r| {
        replace(r, "NotOnOrAfter=\"2026", "NotOnOrAfter=\"2036")
    }),
    row(
        "signed by the attacker",
        ByAttacker,
        "saml.wrong_signature",
        str::to_owned,
    ),
    row(
        "attacker's certificate in KeyInfo",
        ByAttacker,
        "saml.wrong_signature",
        |r| {
            let certificate: String = attackers_certificate()
                .lines()
                .filter(|line| !line.starts_with('-'))
                .collect();
            let key = format!(
                "<ns2:KeyInfo><ns2:X509Data><ns2:X509Certificate>{certificate}</ns2:X509Certificate></ns2:X509Data></ns2:KeyInfo>"
            );
            replace(r, element(r, "KeyInfo"), &key)
        },
    ),
    row("RSA-SHA1 claimed", Before, "saml.algorithm", |r| {
        replace(r, RSA_SHA256, "http://www.w3.org/2000/09/xmldsig#rsa-sha1")
    }),
    row(
        "HMAC with the certificate as key",
        Before,
        "saml.algorithm",
        |r| {
            replace(
                r,
                RSA_SHA256,
                "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
            )
        },
    ),
    row("MD5", Before, "saml.algorithm", |r| {
        replace(r, RSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#rsa-md5")
    }),
    row("SHA-1 digest", After, "saml.algorithm", |r| {
        replace(r, SHA256, "http://www.w3.org/2000/09/xmldsig#sha1")
    }),
    row("inclusive canonicalisation", After, "saml.algorithm", |r| {
        replace(
            r,
            EXCLUSIVE_METHOD,
            "<ns2:CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/>",
        )
    }),
    row("canonicalisation with comments", After, "saml.algorithm", |r| {
        replace(
            r,
            "Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"",
            "Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#WithComments\"",
        )
    }),
    row("XSLT transform", Before, "saml.algorithm", |r| {
        replace(
            r,
            EXCLUSIVE_TRANSFORM,
            "<ns2:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"><x/></ns2:Transform>",
        )
    }),
    row("XPath transform", Before, "saml.algorithm", |r| {
        replace(
            r,
            EXCLUSIVE_TRANSFORM,
            "<ns2:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ns2:XPath>self::node()</ns2:XPath></ns2:Transform>",
        )
    }),
    row("a third transform", After, "saml.signature_shape", |r| {
        replace(r, EXCLUSIVE_TRANSFORM, &EXCLUSIVE_TRANSFORM.repeat(2))
    }),
    row("reference to a file", Before, "saml.signature_misplaced", |r| {
        replace(r, "Reference URI=\"#", "Reference URI=\"Cargo.toml#")
    }),
    row(
        "reference to the whole document",
        Before,
        "saml.signature_misplaced",
        |r| {
            let from = r.find("Reference URI=\"").unwrap() + 15;
            let to = from + r[from..].find('"').unwrap();
            format!("{}{}", &r[..from], &r[to..])
        },
    ),
    row("two references", Before, "saml.signature_shape", |r| {
        let reference = element(r, "Reference").to_owned();
        replace(r, &reference, &reference.repeat(2))
    }),
    row("object in the signature", After, "saml.signature_shape", |r| {
        replace(
            r,
            "</ns2:Signature>",
            "<ns2:Object>x</ns2:Object></ns2:Signature>",
        )
    }),
    row("HMAC truncated", Before, "saml.algorithm", |r| {
        let method = format!("<ns2:SignatureMethod Algorithm=\"{RSA_SHA256}\"/>");
        let truncated = format!(
            "<ns2:SignatureMethod Algorithm=\"{RSA_SHA256}\"><ns2:HMACOutputLength>8</ns2:HMACOutputLength></ns2:SignatureMethod>"
        );
        replace(r, &method, &truncated)
    }),
];

const PROFILE: [Row; 37] = [
    row("wrong audience", After, "saml.wrong_audience", |r| {
        replace(
            r,
            &format!("{SP}</ns1:Audience>"),
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
            &format!("Recipient=\"{ACS}"),
            "Recipient=\"https://other.example.com/acs",
        )
    }),
    row("no recipient", After, "saml.wrong_recipient", |r| {
        replace(r, &format!(" Recipient=\"{ACS}\""), "")
    }),
    row("wrong destination", After, "saml.wrong_destination", |r| {
        replace(
            r,
            &format!("Destination=\"{ACS}"),
            "Destination=\"https://other.example.com/acs",
        )
    }),
    row("answers another request", After, "saml.wrong_request", |r| {
        replace(r, REQUEST, "_another")
    }),
    row(
        "confirmation answers another request",
        After,
        "saml.wrong_request",
        |r| {
            let data = r.find("SubjectConfirmationData").unwrap();
            format!("{}{}", &r[..data], replace(&r[data..], REQUEST, "_another"))
        },
    ),
    row("answers no request", After, "saml.wrong_request", |r| {
        replace(r, &format!(" InResponseTo=\"{REQUEST}\""), "")
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
                replace(&r[data..], &format!(" InResponseTo=\"{REQUEST}\""), "")
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
        replace(
            r,
            &conditions,
            &replace(&conditions, "NotOnOrAfter=\"2026", "NotOnOrAfter=\"2025"),
        )
    }),
    row("expired confirmation", After, "saml.expired", |r| {
        replace_once(
            r,
            "<ns1:SubjectConfirmationData NotOnOrAfter=\"2026",
            "<ns1:SubjectConfirmationData NotOnOrAfter=\"2025",
        )
    }),
    row("confirmation without an end", After, "saml.incomplete", |r| {
        replace_once(
            r,
            "<ns1:SubjectConfirmationData NotOnOrAfter=",
            "<ns1:SubjectConfirmationData NotAfter=",
        )
    }),
    row("not yet valid", After, "saml.not_yet_valid", |r| {
        replace(r, "NotBefore=\"2026", "NotBefore=\"2027")
    }),
    row("issued in the future", After, "saml.not_yet_valid", |r| {
        let assertion = r.find("<ns1:Assertion").unwrap();
        format!(
            "{}{}",
            &r[..assertion],
            replace_once(&r[assertion..], "IssueInstant=\"2026", "IssueInstant=\"2027")
        )
    }),
    row("unreadable time", After, "saml.incomplete", |r| {
        replace(r, "NotBefore=\"2026-", "NotBefore=\"soon-")
    }),
    row("session over", After, "saml.session_over", |r| {
        replace(
            r,
            "SessionIndex=",
            "SessionNotOnOrAfter=\"2026-01-01T00:00:00Z\" SessionIndex=",
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
];

const TEXT: [Row; 18] = [
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
];

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

/// Less than a second; of a few tries, for the machine has other work.
fn is_quick(work: impl Fn()) -> bool {
    (0..5).any(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed() < Duration::from_secs(1)
    })
}

fn check(rows: &[Row]) {
    let situation = Situation::new();
    let good = recorded("signed_assertion");
    assert!(situation.finish(&good).is_ok());
    assert!(situation.finish(&signed_again(&good)).is_ok());
    for row in rows {
        let mutated = (row.mutate)(&good);
        let response = match row.signed {
            Before => mutated,
            After => signed_again(&mutated),
            ByAttacker => signed_by_attacker(&mutated),
        };
        let refusal = situation.finish(&response).expect_err(row.name);
        assert_eq!(refusal.code, row.code, "{}", row.name);
        assert!(!refusal.text.contains("evil"), "{}", row.name);
        assert!(
            is_quick(|| drop(situation.finish(&response))),
            "{} takes long",
            row.name
        );
    }
}

#[test]
fn no_signature_but_the_providers_own_counts() {
    check(&SIGNATURES);
}

#[test]
fn a_good_signature_on_the_wrong_thing_does_not_help() {
    check(&PROFILE);
}

#[test]
fn what_is_no_plain_xml_is_not_read() {
    check(&TEXT);
}

#[test]
fn a_real_provider_with_sha1_is_refused() {
    for kind in ["sha1", "sha1_digest"] {
        assert_eq!(
            Situation::new().finish(&recorded(kind)).unwrap_err().code,
            "saml.algorithm"
        );
    }
}

#[test]
fn one_bad_signature_of_two_is_enough() {
    let good = recorded("signed_both");
    let at = good.rfind("<ns2:SignatureValue>").unwrap() + 25;
    let flipped = if &good[at..=at] == "A" { "B" } else { "A" };
    let bad = format!("{}{flipped}{}", &good[..at], &good[at + 1..]);
    assert!(Situation::new().finish(&bad).is_err());
}

#[test]
fn a_form_that_holds_no_response_is_refused() {
    let situation = Situation::new();
    let rows: [(&str, &[u8], &str); 4] = [
        ("nothing", b"", "saml.empty"),
        ("text", b"hello", "saml.not_xml"),
        ("not UTF-8", b"<a>\xff</a>", "saml.not_utf8"),
        ("UTF-16", b"\xff\xfe<\0a\0/\0>\0", "saml.not_utf8"),
    ];
    for (name, bytes, code) in rows {
        use base64::Engine as _;
        let form = base64::engine::general_purpose::STANDARD.encode(bytes);
        assert_eq!(situation.finish_form(&form).unwrap_err().code, code, "{name}");
    }
    assert_eq!(situation.finish_form("%%%").unwrap_err().code, "saml.not_base64");
    assert_eq!(
        situation.finish_form(&"A".repeat(500_000)).unwrap_err().code,
        "saml.too_large"
    );
    let good = encode(&recorded("signed_both"));
    assert_eq!(
        situation.finish_form(&format!("{good}!")).unwrap_err().code,
        "saml.not_base64"
    );
}

#[test]
fn a_provider_without_certificates_vouches_for_nobody() {
    let mut situation = Situation::new();
    situation.config.certificates.clear();
    assert_eq!(
        situation.finish(&recorded("signed_both")).unwrap_err().code,
        "saml.no_certificate"
    );
    situation.config.certificates = vec![attackers_certificate()];
    assert_eq!(
        situation.finish(&recorded("signed_both")).unwrap_err().code,
        "saml.wrong_signature"
    );
}

/// Not one response with some of its bytes changed, repeated or gone is read differently: it is refused, or says what it said.
#[test]
fn no_damage_changes_who_it_is() {
    let situation = Situation::new();
    let good = recorded("signed_assertion");
    let mut state = 42_u64;
    let mut next = |below: usize| {
        // Steele & Vigna's SplitMix64: the same damage in every run.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((mixed ^ (mixed >> 27)) % below as u64).unwrap()
    };
    for _ in 0..300 {
        let mut bytes = good.clone().into_bytes();
        let (at, length) = (next(bytes.len()), next(40));
        let end = (at + length).min(bytes.len());
        let part = bytes[at..end].to_vec();
        match next(3) {
            0 => bytes[at] = b"<>\"'&x= /!-"[next(11)],
            1 => drop(bytes.drain(at..end)),
            _ => {
                let to = next(bytes.len());
                bytes.splice(to..to, part);
            }
        }
        if let Ok((identity, _)) = situation.finish(&String::from_utf8(bytes).unwrap()) {
            assert_eq!(identity.subject, "ada");
            assert_eq!(identity.groups, ["data-platform", "everyone"]);
        }
    }
}
