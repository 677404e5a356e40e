//! Symbolic links: a version has none. One that stays inside the source becomes what it leads to; any other is refused
//! by name. Pure.

use std::collections::BTreeMap;

use crate::dags::archive::MOST_FILES;
use crate::error::{Error, Result};

/// A link may lead to a link, but not for ever.
const HOPS: usize = 8;

/// Replaces links (path → target) by the files that they lead to.
pub(super) fn resolved<T: Clone>(
    files: &BTreeMap<String, T>,
    links: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, T>> {
    let mut all = files.clone();
    for path in links.keys() {
        let target = followed(path, links)?;
        if let Some(file) = files.get(&target) {
            all.insert(path.clone(), file.clone());
            continue;
        }
        let below = format!("{target}/");
        let inside: Vec<_> = files
            .range(below.clone()..)
            .take_while(|(name, _)| name.starts_with(&below))
            .collect();
        if inside.is_empty() || path.starts_with(&below) {
            return Err(refused(path, "leads to nothing that is in the source"));
        }
        for (name, file) in inside {
            let rest = name.strip_prefix(&below).unwrap_or(name);
            all.insert(format!("{path}/{rest}"), file.clone());
        }
        if all.len() > MOST_FILES {
            return Err(refused(path, "makes the source too large"));
        }
    }
    Ok(all)
}

/// Where a link leads in the end, within the source.
fn followed(path: &str, links: &BTreeMap<String, String>) -> Result<String> {
    let mut at = path.to_owned();
    for _ in 0..HOPS {
        let Some((link, rest)) = first_link(&at, links) else {
            return Ok(at);
        };
        let target = links.get(link).map(String::as_str).unwrap_or_default();
        let led = joined(link, target).ok_or_else(|| refused(path, "leads out of the source"))?;
        at = match rest {
            "" => led,
            rest => format!("{led}/{rest}"),
        };
    }
    Err(refused(path, "leads from link to link"))
}

/// The first component of a path that is a link, and what comes after it.
fn first_link<'a>(path: &'a str, links: &BTreeMap<String, String>) -> Option<(&'a str, &'a str)> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for end in ends {
        let (link, rest) = path.split_at(end);
        if links.contains_key(link) {
            return Some((link, rest.trim_start_matches('/')));
        }
    }
    None
}

/// `target` as seen from the link's directory; none when it leaves the source or is all of it.
fn joined(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') || target.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn refused(path: &str, why: &str) -> Error {
    Error::Dags(format!(
        "the symbolic link `{}` {why}: put the file itself there",
        path.escape_default()
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::resolved;

    fn run(files: &[&str], links: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let files = files
            .iter()
            .map(|path| ((*path).to_owned(), (*path).to_owned()))
            .collect();
        let links: BTreeMap<_, _> = links
            .iter()
            .map(|(path, target)| ((*path).to_owned(), (*target).to_owned()))
            .collect();
        let all = resolved(&files, &links).map_err(|error| error.to_string())?;
        Ok(all
            .into_iter()
            .map(|(path, from)| format!("{path}={from}"))
            .collect())
    }

    #[test]
    fn a_link_inside_becomes_what_it_leads_to() {
        assert_eq!(
            run(&["a.py"], &[("b.py", "a.py")]).unwrap(),
            ["a.py=a.py", "b.py=a.py"]
        );
        assert_eq!(
            run(
                &["lib/x.py"],
                &[("team/lib", "../lib"), ("y.py", "team/lib/x.py")]
            )
            .unwrap(),
            ["lib/x.py=lib/x.py", "team/lib/x.py=lib/x.py", "y.py=lib/x.py"]
        );
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_refused_by_name() {
        for target in [
            "/etc/passwd",
            "../../etc/passwd",
            "../a.py",
            "nowhere",
            "b",
            ".",
            "",
        ] {
            let refused = run(&["a.py", "c/d.py"], &[("b", target)]).unwrap_err();
            assert!(refused.contains("`b`"), "{target}: {refused}");
        }
        assert!(run(&["c/d.py"], &[("c/loop", "../c")]).is_err());
        assert!(run(&["a.py"], &[("x", "y"), ("y", "x")]).is_err());
    }
}
