//! Cuts a response by its text, as an attacker does.

/// Panics if `from` isn't there: a mutation that changes nothing proves nothing.
pub fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the response");
    text.replace(from, to)
}

pub fn replace_once(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the response");
    text.replacen(from, to, 1)
}

/// The first element of this local name, with its tags.
pub fn element<'t>(text: &'t str, name: &str) -> &'t str {
    let (from, to) = span(text, name);
    &text[from..to]
}

pub fn without(text: &str, name: &str) -> String {
    let (from, to) = span(text, name);
    format!("{}{}", &text[..from], &text[to..])
}

/// Empties all elements of this name.
pub fn blank(text: &str, name: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest
        .find(&format!(":{name}>"))
        .filter(|at| !rest[..*at].ends_with('/'))
    {
        let open = at + name.len() + 2;
        let prefix = rest[..at].rfind('<').unwrap();
        let closing = format!("</{}:{name}>", &rest[prefix + 1..at]);
        let close = open + rest[open..].find(&closing).unwrap();
        out.push_str(&rest[..open]);
        out.push_str(&closing);
        rest = &rest[close + closing.len()..];
    }
    out + rest
}

/// The value of an attribute of the first element of this name.
pub fn attribute<'t>(text: &'t str, element_name: &str, name: &str) -> &'t str {
    let tag = element(text, element_name);
    let tag = &tag[..tag.find('>').unwrap()];
    let from = tag.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
    let to = from + tag[from..].find('"').unwrap();
    let offset = text.find(tag).unwrap();
    &text[offset + from..offset + to]
}

/// Where the response is sent.
pub fn acs(text: &str) -> &str {
    attribute(text, "Response", "Destination")
}

/// What it answers.
pub fn request(text: &str) -> &str {
    attribute(text, "Response", "InResponseTo")
}

/// Whom it is for.
pub fn audience(text: &str) -> &str {
    let audience = element(text, "Audience");
    let from = audience.find('>').unwrap() + 1;
    &audience[from..audience.rfind('<').unwrap()]
}

/// All attributes of this name, so many years later.
pub fn in_years(text: &str, name: &str, years: i32) -> String {
    let opening = format!(" {name}=\"");
    let mut parts = text.split(opening.as_str());
    let mut moved = parts.next().unwrap().to_owned();
    for part in parts {
        let (year, rest) = part.split_at(4);
        let year = year.parse::<i32>().unwrap() + years;
        moved.push_str(&format!("{opening}{year}{rest}"));
    }
    assert_ne!(moved, text, "{name} is not in the response");
    moved
}

fn span(text: &str, name: &str) -> (usize, usize) {
    let at = [format!(":{name} "), format!(":{name}>")]
        .iter()
        .filter_map(|open| text.find(open.as_str()))
        .min()
        .unwrap_or_else(|| panic!("there is no {name}"));
    let from = text[..at].rfind('<').unwrap();
    let closing = format!("</{}:{name}>", &text[from + 1..at]);
    // Elements of one name are not nested in what is cut here.
    let to = from + text[from..].find(&closing).unwrap() + closing.len();
    (from, to)
}
