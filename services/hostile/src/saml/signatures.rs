//! No signature but the provider's own counts, made as it should be and about what it is about.

use super::recorded::attackers_certificate;
use super::row::Signed::{After, Before, ByAttacker};
use super::row::{Row, row};
use super::surgery::{blank, element, in_years, replace, without};

const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const EXCLUSIVE_TRANSFORM: &str = "<ns2:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
const EXCLUSIVE_METHOD: &str =
    "<ns2:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";

pub(super) fn rows() -> Vec<Row> {
    vec![
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
            in_years(r, "NotOnOrAfter", 10)
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
    ]
}
