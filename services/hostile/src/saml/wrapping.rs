//! Signature wrapping in its eight published variants (Somorovsky et al., "On Breaking SAML", as SAML Raider numbers them): what
//! was really signed is still there, somewhere, and a forgery stands where it is read.

use super::genuine::Genuine;
use super::row::{Row, written};
use super::surgery::{attribute, element, replace, replace_once, without};

/// The same assertion or response about somebody else, with an id of its own and no signature.
fn forged(original: &str, name: &str) -> String {
    let id = attribute(original, name, "ID").to_owned();
    let forged = replace(&without(original, "Signature"), &id, "_forged").replace("\"id-", "\"_forged-");
    replace(&forged, ">ada<", ">eve<")
}

fn body(response: &str) -> String {
    response
        .trim()
        .trim_start_matches("<?xml version=\"1.0\"?>")
        .trim_start()
        .to_owned()
}

fn signed_response(genuine: &Genuine) -> String {
    body(&genuine.said("signed_response"))
}

fn signed_assertion(genuine: &Genuine) -> String {
    body(&genuine.said("signed_assertion"))
}

/// The original response inside the signature of the forged one.
fn xsw1(genuine: &Genuine) -> String {
    let original = signed_response(genuine);
    let signature = element(&original, "Signature").to_owned();
    let inner = without(&original, "Signature");
    let signature = replace_once(
        &signature,
        "</ns2:Signature>",
        &format!("{inner}</ns2:Signature>"),
    );
    let outer = forged(&original, "Response");
    replace_once(&outer, "<ns0:Status>", &format!("{signature}<ns0:Status>"))
}

/// The original response before the signature, both inside the forged one.
fn xsw2(genuine: &Genuine) -> String {
    let original = signed_response(genuine);
    let signature = element(&original, "Signature").to_owned();
    let inner = without(&original, "Signature");
    let outer = forged(&original, "Response");
    replace_once(&outer, "<ns0:Status>", &format!("{inner}{signature}<ns0:Status>"))
}

/// A forged assertion before the original one.
fn xsw3(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    original.replacen(
        assertion,
        &format!("{}{assertion}", forged(assertion, "Assertion")),
        1,
    )
}

/// The original assertion inside the forged one.
fn xsw4(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    let outer =
        forged(assertion, "Assertion").replace("</ns1:Assertion>", &format!("{assertion}</ns1:Assertion>"));
    original.replacen(assertion, &outer, 1)
}

/// The forged assertion carries the signature, the original follows it.
fn xsw5(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    let signature = element(assertion, "Signature");
    let carrier =
        forged(assertion, "Assertion").replacen("<ns1:Subject>", &format!("{signature}<ns1:Subject>"), 1);
    original.replacen(
        assertion,
        &format!("{carrier}{}", without(assertion, "Signature")),
        1,
    )
}

/// The forged assertion carries the signature, and that the original.
fn xsw6(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    let inner = without(assertion, "Signature");
    let signature =
        element(assertion, "Signature").replace("</ns2:Signature>", &format!("{inner}</ns2:Signature>"));
    let carrier =
        forged(assertion, "Assertion").replacen("<ns1:Subject>", &format!("{signature}<ns1:Subject>"), 1);
    original.replacen(assertion, &carrier, 1)
}

/// A forged assertion in an extension, where schemas allow anything.
fn xsw7(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let hidden = forged(element(&original, "Assertion"), "Assertion");
    replace_once(
        &original,
        "<ns0:Status>",
        &format!("<ns0:Extensions>{hidden}</ns0:Extensions><ns0:Status>"),
    )
}

/// The original in an object of the signature that the forged one carries.
fn xsw8(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    let object = format!("<ns2:Object>{}</ns2:Object>", without(assertion, "Signature"));
    let signature =
        element(assertion, "Signature").replace("</ns2:Signature>", &format!("{object}</ns2:Signature>"));
    let carrier =
        forged(assertion, "Assertion").replacen("<ns1:Subject>", &format!("{signature}<ns1:Subject>"), 1);
    original.replacen(assertion, &carrier, 1)
}

/// As `xsw7`, both with the same id.
fn same_id_in_extension(genuine: &Genuine) -> String {
    let wrapped = xsw7(genuine);
    let signed = &wrapped[wrapped.find("<ns0:Status>").unwrap()..];
    let id = attribute(signed, "Assertion", "ID").to_owned();
    replace(&wrapped, "_forged", &id)
}

/// The original in an extension, the forged one unsigned in its place.
fn original_in_extension(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    let swapped = original.replacen(assertion, &forged(assertion, "Assertion"), 1);
    replace_once(
        &swapped,
        "<ns0:Status>",
        &format!("<ns0:Extensions>{assertion}</ns0:Extensions><ns0:Status>"),
    )
}

/// The original renamed, so that only one is called an assertion.
fn original_in_attribute(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    let renamed = assertion.replace("ns1:Assertion", "ns1:Advice");
    let carrier =
        forged(assertion, "Assertion").replace("</ns1:Assertion>", &format!("{renamed}</ns1:Assertion>"));
    original.replacen(assertion, &carrier, 1)
}

/// A forged assertion of another namespace before the original.
fn other_namespace(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let assertion = element(&original, "Assertion");
    let forged = forged(assertion, "Assertion").replace("ns1:Assertion", "e:Assertion");
    let forged = forged.replacen("<e:Assertion", "<e:Assertion xmlns:e=\"urn:e\"", 1);
    original.replacen(assertion, &format!("{forged}{assertion}"), 1)
}

/// The response's signature moved to the assertion.
fn moved_signature(genuine: &Genuine) -> String {
    let original = signed_response(genuine);
    let signature = element(&original, "Signature").to_owned();
    replace_once(
        &without(&original, "Signature"),
        "<ns1:Subject>",
        &format!("{signature}<ns1:Subject>"),
    )
}

/// Two signatures of one element: one real, one a decoy before it.
fn two_signatures(genuine: &Genuine) -> String {
    let original = signed_assertion(genuine);
    let signature = element(&original, "Signature").to_owned();
    let decoy = signature.replace("Signature2", "Signature3");
    replace_once(&original, &signature, &format!("{decoy}{signature}"))
}

/// The forged one carries the signature of the original, which is gone.
fn neighbour(genuine: &Genuine) -> String {
    let wrapped = xsw8(genuine);
    without(&wrapped, "Object")
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        written("xsw1", "saml.assertion_count", xsw1),
        written("xsw2", "saml.assertion_count", xsw2),
        written("xsw3", "saml.assertion_count", xsw3),
        written("xsw4", "saml.assertion_count", xsw4),
        written("xsw5", "saml.assertion_count", xsw5),
        written("xsw6", "saml.assertion_count", xsw6),
        written("xsw7", "saml.assertion_count", xsw7),
        written("xsw8", "saml.assertion_count", xsw8),
        written("same id in extension", "saml.duplicate_id", same_id_in_extension),
        written(
            "original in extension",
            "saml.assertion_count",
            original_in_extension,
        ),
        written(
            "original renamed",
            "saml.signature_misplaced",
            original_in_attribute,
        ),
        written("other namespace", "saml.assertion_count", other_namespace),
        written("signature moved", "saml.signature_misplaced", moved_signature),
        written("two signatures", "saml.signature_misplaced", two_signatures),
        written(
            "a signature that speaks for its neighbour",
            "saml.signature_misplaced",
            neighbour,
        ),
    ]
}
