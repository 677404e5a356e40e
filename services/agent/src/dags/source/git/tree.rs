//! What a commit holds, by name: read, never checked out.

use std::collections::BTreeMap;

use super::command::Git;
use crate::dags::archive::{self, MOST_FILES};
use crate::dags::digest::is_litter;
use crate::error::{Error, Result};

/// Of a link's target, in bytes.
const LONGEST_LINK: u64 = 1024;

#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) id: String,
    pub(super) size: u64,
    /// The repository that has it.
    pub(super) from: Git,
}

/// The entries of `ls-tree -r -l -z`.
#[derive(Debug, Default)]
pub(super) struct Tree {
    blobs: BTreeMap<String, (String, u64)>,
    links: BTreeMap<String, (String, u64)>,
    /// Path → commit of a submodule.
    pub(super) modules: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(super) struct Files {
    pub(super) files: BTreeMap<String, Blob>,
    /// Path → target.
    pub(super) links: BTreeMap<String, String>,
}

// === impl Tree ===

impl Tree {
    /// `<mode> <type> <id> <size>\t<path>\0`
    pub(super) fn parse(listed: &[u8]) -> Result<Self> {
        let mut tree = Self::default();
        for entry in listed.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            let odd = || Error::Dags("git lists something that is no file".to_owned());
            let tab = entry.iter().position(|byte| *byte == b'\t').ok_or_else(odd)?;
            let (facts, path) = entry.split_at(tab);
            let path = std::str::from_utf8(&path[1..]).map_err(|_| {
                Error::Dags(format!(
                    "the name `{}` is not UTF-8: rename the file",
                    path[1..].escape_ascii()
                ))
            })?;
            if is_litter(path) {
                continue;
            }
            let facts = std::str::from_utf8(facts).map_err(|_| odd())?;
            let mut facts = facts.split_ascii_whitespace();
            let (mode, id) = (
                facts.next().ok_or_else(odd)?,
                facts.nth(1).ok_or_else(odd)?.to_owned(),
            );
            let size = facts.next().and_then(|size| size.parse().ok()).unwrap_or(0);
            match mode {
                "120000" => tree.links.insert(path.to_owned(), (id, size)).map(drop),
                "160000" => tree.modules.insert(path.to_owned(), id).map(drop),
                _ => tree.blobs.insert(path.to_owned(), (id, size)).map(drop),
            };
            if tree.blobs.len() + tree.links.len() > MOST_FILES {
                return Err(archive::too_large());
            }
        }
        Ok(tree)
    }

    pub(super) fn files(&self, git: &Git) -> Result<Files> {
        let blob = |(path, (id, size)): (&String, &(String, u64))| {
            let blob = Blob {
                id: id.clone(),
                size: *size,
                from: git.clone(),
            };
            (path.clone(), blob)
        };
        let files = self.blobs.iter().map(blob).collect();
        Ok(Files {
            files,
            links: self.targets(git)?,
        })
    }

    fn targets(&self, git: &Git) -> Result<BTreeMap<String, String>> {
        if let Some(path) = self
            .links
            .iter()
            .find(|(_, (_, size))| *size > LONGEST_LINK)
            .map(|(path, _)| path)
        {
            return Err(Error::Dags(format!(
                "the symbolic link `{path}` leads to no path"
            )));
        }
        let wanted: BTreeMap<String, Blob> = self
            .links
            .iter()
            .map(|(path, (id, size))| {
                let blob = Blob {
                    id: id.clone(),
                    size: *size,
                    from: git.clone(),
                };
                (path.clone(), blob)
            })
            .collect();
        let wanted: Vec<_> = wanted.iter().map(|(path, blob)| (path.as_str(), blob)).collect();
        let mut targets = BTreeMap::new();
        git.blobs(&wanted, |path, content, _| {
            let mut target = String::new();
            std::io::Read::read_to_string(content, &mut target)
                .map_err(|_| Error::Dags(format!("the symbolic link `{path}` leads to no path")))?;
            targets.insert(path.to_owned(), target);
            Ok(())
        })?;
        Ok(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn a_listing_is_read_by_kinds() {
        let listed = b"100644 blob aa      12\ta b.py\x00120000 blob bb       4\tlink\x00160000 commit cc       -\tlib\x00";
        let tree = Tree::parse(listed).unwrap();
        assert_eq!(tree.blobs["a b.py"], ("aa".to_owned(), 12));
        assert_eq!(tree.links["link"].0, "bb");
        assert_eq!(tree.modules["lib"], "cc");
    }

    #[test]
    fn a_name_that_is_not_utf8_is_refused_by_name() {
        let refused = Tree::parse(b"100644 blob aa 1\tcaf\xe9.py\x00")
            .unwrap_err()
            .to_string();
        assert!(refused.contains("caf\\xe9.py"), "{refused}");
    }
}
