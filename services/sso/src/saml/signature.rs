//! XML signatures: the library (`bergshamra`) verifies, this decides what may be verified at all.
//!
//! Why that library. `saml-rs` 0.6 is a whole SAML stack over an older release of the same library; it reads through a second
//! parser by local names and accepts SHA-1 and more transforms than SAML has. The reference implementation (`xmlsec1`) is a
//! program nodes would need installed. So the signature mathematics and canonicalisation are `bergshamra`'s (pure Rust, passes
//! xmlsec's own suite of 1,147 cases), and around it stands a profile narrower than the standard: an enveloped signature,
//! child of what it signs, one reference to that very element, two transforms, SHA-2. Nothing a signature says is followed:
//! no URI but the parent's id, no key but a pinned one.

use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_dsig::verify::verify_all_document;
use bergshamra_dsig::{DsigContext, VerifyResult};
use bergshamra_xml::NodeSet;
use bergshamra_xml::uppsala::{Document, NodeId};

use super::pins::Pins;
use super::xml::{self, DSIG, Element};
use crate::Refusal;

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const SIGNATURES: [&str; 6] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
];
const DIGESTS: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];

/// Which of `signable` are signed, every signature of the document verified. One anywhere else is refused, not ignored.
pub(super) fn signed_elements(
    document: &Document<'_>,
    signable: &[NodeId],
    pins: &Pins,
) -> Result<Vec<NodeId>, Refusal> {
    let mut expected = Vec::new();
    for signature in xml::elements(document).filter(|element| element.is_called("Signature")) {
        let parent = signature.parent().filter(|parent| signable.contains(parent));
        let parent = parent.ok_or_else(misplaced)?;
        if expected.iter().any(|(_, signed)| *signed == parent) {
            return Err(misplaced());
        }
        check_shape(signature, xml::at(document, parent))?;
        expected.push((signature.id, parent));
    }
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    verify(document, &expected, pins)?;
    Ok(expected.into_iter().map(|(_, parent)| parent).collect())
}

/// An element as it was signed: canonical, on its own.
pub(super) fn canonical(document: &Document<'_>, element: NodeId) -> Result<String, Refusal> {
    let nodes = NodeSet::tree_without_comments(element, document);
    let bytes =
        canonicalize_doc::<&str>(document, C14nMode::Exclusive, Some(&nodes), &[]).map_err(|_| shape())?;
    String::from_utf8(bytes).map_err(|_| shape())
}

fn verify(document: &Document<'_>, expected: &[(NodeId, NodeId)], pins: &Pins) -> Result<(), Refusal> {
    // Secure defaults: keys of the manager only, whatever KeyInfo offers; every digest computed here.
    let context = DsigContext::new(pins.keys()?);
    let results = verify_all_document(&context, document).map_err(|_| wrong())?;
    if results.len() != expected.len() {
        return Err(wrong());
    }
    let all_cover_their_parents = results.iter().zip(expected).all(|(result, (signature, parent))| {
        matches!(result, VerifyResult::Valid { signature_node, references, .. }
            if signature_node == signature
                && matches!(references.as_slice(), [one] if one.digest_verified && one.resolved_node == Some(*parent)))
    });
    all_cover_their_parents.then_some(()).ok_or_else(wrong)
}

fn check_shape(signature: Element<'_>, signed: Element<'_>) -> Result<(), Refusal> {
    let parts: Vec<_> = signature.children().collect();
    let info = match parts.as_slice() {
        [info, value] if value.is(DSIG, "SignatureValue") => *info,
        [info, value, key] if value.is(DSIG, "SignatureValue") && key.is(DSIG, "KeyInfo") => *info,
        _ => return Err(shape()),
    };
    let parts: Vec<_> = info.children().collect();
    match (
        info.is(DSIG, "SignedInfo") && signature.is(DSIG, "Signature"),
        parts.as_slice(),
    ) {
        (true, [canonicalization, method, reference])
            if canonicalization.is(DSIG, "CanonicalizationMethod")
                && method.is(DSIG, "SignatureMethod")
                && reference.is(DSIG, "Reference") =>
        {
            check_algorithm(*canonicalization, &[EXCLUSIVE])?;
            check_algorithm(*method, &SIGNATURES)?;
            check_reference(*reference, signed)
        }
        _ => Err(shape()),
    }
}

fn check_reference(reference: Element<'_>, signed: Element<'_>) -> Result<(), Refusal> {
    let id = signed.attribute("ID").filter(|id| !id.is_empty());
    let target = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#'));
    if id.is_none() || target != id {
        return Err(misplaced());
    }
    let parts: Vec<_> = reference.children().collect();
    match parts.as_slice() {
        [transforms, digest, value]
            if transforms.is(DSIG, "Transforms")
                && digest.is(DSIG, "DigestMethod")
                && value.is(DSIG, "DigestValue") =>
        {
            check_transforms(*transforms)?;
            check_algorithm(*digest, &DIGESTS)
        }
        _ => Err(shape()),
    }
}

fn check_transforms(transforms: Element<'_>) -> Result<(), Refusal> {
    let parts: Vec<_> = transforms.children().collect();
    match parts.as_slice() {
        [first, second] if parts.iter().all(|part| part.is(DSIG, "Transform")) => {
            check_algorithm(*first, &[ENVELOPED])?;
            check_algorithm(*second, &[EXCLUSIVE])
        }
        _ => Err(shape()),
    }
}

/// Parameters are refused but for the prefix list of exclusive canonicalisation.
fn check_algorithm(method: Element<'_>, allowed: &[&str]) -> Result<(), Refusal> {
    let known = method
        .attribute("Algorithm")
        .is_some_and(|name| allowed.contains(&name));
    let plain = method.children().all(|child| {
        child.is(EXCLUSIVE, "InclusiveNamespaces") && method.attribute("Algorithm") == Some(EXCLUSIVE)
    });
    (known && plain).then_some(()).ok_or_else(|| {
        Refusal::new(
            "saml.algorithm",
            "The signature uses an algorithm that is not accepted. Set the provider to RSA or ECDSA with SHA-256 and \
             exclusive canonicalisation.",
        )
    })
}

pub(super) fn unsigned() -> Refusal {
    Refusal::new(
        "saml.unsigned",
        "Neither the response nor the assertion is signed. Let the provider sign one of them.",
    )
}

fn misplaced() -> Refusal {
    Refusal::new(
        "saml.signature_misplaced",
        "A signature is not where it has to be.",
    )
}

fn shape() -> Refusal {
    Refusal::new(
        "saml.signature_shape",
        "A signature is not of the form that SAML prescribes.",
    )
}

fn wrong() -> Refusal {
    Refusal::new(
        "saml.wrong_signature",
        "The identity provider's answer was signed with another certificate than those on file. If the provider has a new \
         one, an owner of your organisation adds it.",
    )
}
