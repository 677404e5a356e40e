//! Reads XML that came from outside: what SAML has no use for is refused before a parser sees it, and the one document that
//! was read is the one whose signature is checked.

use bergshamra_xml::uppsala::{Document, NodeId, NodeKind, Parser};

use crate::Refusal;

pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub(super) const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
pub(super) const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";

/// Real messages have 3–20 KiB, with hundreds of groups.
pub(super) const MAX_BYTES: usize = 256 * 1024;
const MAX_DEPTH: u32 = 48;
/// Parsing and canonicalisation grow faster than linearly with the attributes of one element.
const MAX_ATTRIBUTES: usize = 64;

/// Attributes that the signature library takes for an id.
const ID_NAMES: [&str; 4] = ["ID", "Id", "id", "AssertionID"];

/// Whether a document may carry comments: metadata written by people does, messages don't.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Comments {
    Refused,
    Ignored,
}

/// An element of a document that was read.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    document: &'d Document<'d>,
    pub(super) id: NodeId,
}

/// # Errors
/// It is too large, is no XML, or has what is refused: a document type, processing instructions, comments.
pub(super) fn read(text: &str, comments: Comments) -> Result<Document<'_>, Refusal> {
    if text.len() > MAX_BYTES {
        return Err(too_large());
    }
    refuse_markup(text.trim_start_matches('\u{feff}'), comments)?;
    let document = Parser::new()
        .with_forbid_dtd(true)
        .with_forbid_entities(true)
        .with_max_depth(MAX_DEPTH)
        .parse(text)
        .map_err(|_| not_xml())?;
    let encoding = document
        .xml_declaration
        .as_ref()
        .and_then(|declaration| declaration.encoding.as_deref());
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("utf-8")) {
        return Err(not_utf8());
    }
    Ok(document)
}

pub(super) fn root<'d>(document: &'d Document<'d>) -> Result<Element<'d>, Refusal> {
    let id = document.document_element().ok_or_else(not_xml)?;
    Ok(Element { document, id })
}

pub(super) fn at<'d>(document: &'d Document<'d>, id: NodeId) -> Element<'d> {
    Element { document, id }
}

/// Every element, in document order.
pub(super) fn elements<'d>(document: &'d Document<'d>) -> impl Iterator<Item = Element<'d>> {
    document
        .descendants(document.root())
        .into_iter()
        .map(move |id| Element { document, id })
        .filter(|element| document.element(element.id).is_some())
}

/// No id is there twice, and none hides in a namespace or behind a second one.
pub(super) fn refuse_ambiguous_ids(document: &Document<'_>) -> Result<(), Refusal> {
    let ambiguous = || Refusal::new("saml.duplicate_id", "The response uses an id twice.");
    let mut seen = std::collections::HashSet::new();
    for id in document.descendants(document.root()) {
        let Some(element) = document.element(id) else {
            continue;
        };
        let mut ids = element
            .attributes
            .iter()
            .filter(|attribute| ID_NAMES.contains(&&*attribute.name.local_name));
        if let Some(attribute) = ids.next()
            && (attribute.name.namespace_uri.is_some()
                || !seen.insert(attribute.value.to_string())
                || ids.next().is_some())
        {
            return Err(ambiguous());
        }
    }
    Ok(())
}

/// For text and for attribute values.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

pub(super) fn too_large() -> Refusal {
    Refusal::new("saml.too_large", "The message is larger than 256 KiB.")
}

pub(super) fn not_utf8() -> Refusal {
    Refusal::new("saml.not_utf8", "The message is not in UTF-8.")
}

pub(super) fn not_xml() -> Refusal {
    Refusal::new("saml.not_xml", "The message is not well-formed XML.")
}

/// Looks at the raw text, so that it holds whatever a parser makes of it. A literal `<` stands nowhere but in markup and in
/// CDATA; there it is refused too.
fn refuse_markup(text: &str, comments: Comments) -> Result<(), Refusal> {
    let body = text.strip_prefix("<?xml ").unwrap_or(text);
    for piece in body.split('<').skip(1) {
        if piece.starts_with("!--") {
            if comments == Comments::Refused {
                return Err(comment());
            }
        } else if piece.starts_with('?') {
            return Err(processing_instruction());
        } else if piece.starts_with('!') && !piece.starts_with("![CDATA[") {
            return Err(dtd());
        } else if attributes(piece) > MAX_ATTRIBUTES {
            return Err(not_xml());
        }
    }
    Ok(())
}

/// No fewer than the attributes of the tag that this piece begins with.
fn attributes(piece: &str) -> usize {
    let count = |wanted: &[u8]| piece.bytes().filter(|byte| wanted.contains(byte)).count();
    count(b"=").min(count(b"\"'") / 2)
}

fn comment() -> Refusal {
    Refusal::new(
        "saml.comment",
        "The message has a comment in it; messages have none.",
    )
}

fn processing_instruction() -> Refusal {
    Refusal::new(
        "saml.processing_instruction",
        "The message has a processing instruction in it; messages have none.",
    )
}

fn dtd() -> Refusal {
    Refusal::new(
        "saml.dtd",
        "The message declares a document type or entities, which are never read.",
    )
}

// === impl Element ===

impl<'d> Element<'d> {
    pub(super) fn is(self, namespace: &str, name: &str) -> bool {
        self.document
            .element(self.id)
            .is_some_and(|element| element.matches_name_ns(namespace, name))
    }

    /// Whatever the namespace.
    pub(super) fn is_called(self, name: &str) -> bool {
        self.document
            .element(self.id)
            .is_some_and(|element| element.name.local_name == name)
    }

    /// One without a namespace, as all of SAML's are.
    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        let element = self.document.element(self.id)?;
        element
            .attributes
            .iter()
            .find(|attribute| attribute.name.namespace_uri.is_none() && attribute.name.local_name == name)
            .map(|attribute| &*attribute.value)
    }

    pub(super) fn parent(self) -> Option<NodeId> {
        self.document.parent(self.id)
    }

    pub(super) fn children(self) -> impl Iterator<Item = Element<'d>> {
        let document = self.document;
        document
            .children_iter(self.id)
            .filter(move |id| document.element(*id).is_some())
            .map(move |id| Element { document, id })
    }

    pub(super) fn children_named<'n>(
        self,
        namespace: &'n str,
        name: &'n str,
    ) -> impl Iterator<Item = Element<'d>> + use<'d, 'n> {
        self.children().filter(move |child| child.is(namespace, name))
    }

    /// The one child of this name.
    pub(super) fn only_child(self, namespace: &str, name: &str) -> Option<Element<'d>> {
        let mut children = self.children_named(namespace, name);
        children.next().filter(|_| children.next().is_none())
    }

    /// All of its text, trimmed; none if there are elements in it.
    pub(super) fn text(self) -> Option<String> {
        let mut text = String::new();
        for child in self.document.children_iter(self.id) {
            match self.document.node_kind(child)? {
                NodeKind::Text(part) | NodeKind::CData(part) => text.push_str(part),
                NodeKind::Comment(_) => {}
                _ => return None,
            }
        }
        Some(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Comments, escape, read, root};

    #[test]
    fn text_is_whole_across_sections() {
        let document = read("<a>x<![CDATA[y]]>z</a>", Comments::Refused).unwrap();
        assert_eq!(root(&document).unwrap().text().as_deref(), Some("xyz"));
    }

    #[test]
    fn comments_are_read_over_where_they_may_be() {
        let document = read("<a>x<!-- y -->z</a>", Comments::Ignored).unwrap();
        assert_eq!(root(&document).unwrap().text().as_deref(), Some("xz"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let nasty = r#"<a b="c">&'"#;
        let text = format!(r#"<x y="{0}">{0}</x>"#, escape(nasty));
        let document = read(&text, Comments::Refused).unwrap();
        let element = root(&document).unwrap();
        assert_eq!(element.text().as_deref(), Some(nasty));
        assert_eq!(element.attribute("y"), Some(nasty));
    }
}
