//! Repositories inside a repository: each at the commit that the outer one names.

use std::collections::BTreeMap;

use url::Url;

use super::command::Git;
use super::tree::{Blob, Tree};
use super::{Repository, is_commit};
use crate::error::{Error, Result};

const DEEPEST: usize = 4;
const MOST: usize = 50;

/// One that still has to be looked into.
struct Open {
    outer: Repository,
    /// From the source's top.
    at: String,
    url: String,
    commit: String,
    depth: usize,
}

/// Adds the files of the submodules below `path`.
pub(super) async fn add(
    repository: &Repository,
    git: &Git,
    commit: &str,
    path: &str,
    tree: &Tree,
    files: &mut BTreeMap<String, Blob>,
) -> Result<()> {
    let mut open = named(repository, git, commit, path, "", tree, 1).await?;
    let mut looked = 0;
    while let Some(module) = open.pop() {
        looked += 1;
        if looked > MOST || module.depth > DEEPEST {
            return Err(Error::Dags(format!("`{}` is one submodule too many", module.at)));
        }
        let inner = |error: Error| Error::Dags(format!("submodule `{}`: {}", module.at, error.chain()));
        let found = look_into(&module, files).await.map_err(inner)?;
        open.extend(found);
    }
    Ok(())
}

async fn look_into(module: &Open, files: &mut BTreeMap<String, Blob>) -> Result<Vec<Open>> {
    let repository = module.outer.beside(address(&module.outer.url, &module.url)?)?;
    let git = repository.commands()?;
    let commit = match git.has(&module.commit).await? {
        true => module.commit.clone(),
        false => git.fetch(&repository.remote().await?, &module.commit).await?,
    };
    let tree = git.tree(&commit, "").await?;
    let found = tree.files(&git)?;
    if let Some(link) = found.links.keys().next() {
        return Err(Error::Dags(format!(
            "`{link}` is a symbolic link: put the file itself there"
        )));
    }
    for (name, blob) in found.files {
        files.insert(format!("{}/{name}", module.at), blob);
    }
    named(
        &repository,
        &git,
        &commit,
        "",
        &module.at,
        &tree,
        module.depth + 1,
    )
    .await
}

/// The submodules of a tree, with the addresses that `.gitmodules` gives them.
async fn named(
    outer: &Repository,
    git: &Git,
    commit: &str,
    path: &str,
    at: &str,
    tree: &Tree,
    depth: usize,
) -> Result<Vec<Open>> {
    if tree.modules.is_empty() {
        return Ok(Vec::new());
    }
    let urls = git.module_urls(commit).await?;
    let join = |above: &str, name: &str| match above {
        "" => name.to_owned(),
        above => format!("{above}/{name}"),
    };
    let open = tree.modules.iter().map(|(name, commit)| {
        let url = urls.get(&join(path, name)).cloned();
        let unnamed = || Error::Dags(format!("`.gitmodules` says nothing of the submodule `{name}`"));
        if !is_commit(commit) {
            return Err(unnamed());
        }
        Ok(Open {
            outer: outer.clone(),
            at: join(at, name),
            url: url.ok_or_else(unnamed)?,
            commit: commit.clone(),
            depth,
        })
    });
    open.collect()
}

/// `../other.git` is beside the outer repository; `git@host:path` is ssh.
fn address(outer: &Url, text: &str) -> Result<Url> {
    let none = || Error::Dags("its address is none that is fetched from: use https:// or ssh://".to_owned());
    if text.starts_with("./") || text.starts_with("../") {
        let mut base = outer.clone();
        base.set_path(&format!("{}/", outer.path().trim_end_matches('/')));
        return base.join(text).map_err(|_| none());
    }
    if let Some((user_host, path)) = text.split_once(':')
        && user_host.contains('@')
        && !path.starts_with("//")
    {
        return Url::parse(&format!("ssh://{user_host}/{path}")).map_err(|_| none());
    }
    Url::parse(text).map_err(|_| none())
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::address;

    #[test]
    fn addresses_are_read_as_git_reads_them() {
        let outer = Url::parse("https://git.example.com/team/dags.git").unwrap();
        for (text, expected) in [
            ("../lib.git", "https://git.example.com/team/lib.git"),
            (
                "git@git.example.com:team/lib.git",
                "ssh://git@git.example.com/team/lib.git",
            ),
            ("https://other.example.com/x", "https://other.example.com/x"),
        ] {
            assert_eq!(address(&outer, text).unwrap().as_str(), expected, "{text}");
        }
        assert!(address(&outer, "/srv/git/lib").is_err());
    }
}
