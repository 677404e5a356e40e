//! What an archive of DAGs may be: bounded, and nothing in it points out of it. Nothing is unpacked here; the node that
//! does so judges it again.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Component, Path};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::DagRefusal;

pub(super) const MOST_FILES: u64 = 50_000;
/// Unpacked.
pub(super) const MOST_BYTES: u64 = 2 << 30;
/// A long name or an extended header comes as an entry of its own, which is read into memory.
const LARGEST_HEADER: u64 = 64 << 10;
const LONGEST_PATH: usize = 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) files: u64,
    /// Unpacked.
    pub(super) bytes: u64,
}

/// Reads it twice: first as it lies there, so that nothing large is taken into memory, then with its names.
pub(super) fn check(open: impl Fn() -> std::io::Result<Box<dyn Read>>) -> Result<Contents, DagRefusal> {
    let contents = bounded(open().map_err(damaged)?)?;
    named(open().map_err(damaged)?)?;
    Ok(contents)
}

fn unpacked(packed: Box<dyn Read>) -> Archive<std::io::Take<MultiGzDecoder<Box<dyn Read>>>> {
    // Headers and padding come on top of the files.
    let most = MOST_BYTES + (MOST_FILES + 1) * 4 * 512;
    Archive::new(MultiGzDecoder::new(packed).take(most))
}

fn bounded(packed: Box<dyn Read>) -> Result<Contents, DagRefusal> {
    let mut archive = unpacked(packed);
    let mut contents = Contents::default();
    let mut headers = 0_u64;
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        let size = entry.header().size().map_err(damaged)?;
        match entry.header().entry_type() {
            EntryType::Regular => {
                contents.files += 1;
                contents.bytes = contents.bytes.saturating_add(size);
            }
            _ if size > LARGEST_HEADER => return Err(refused("a header in it is far too large")),
            _ => headers += 1,
        }
        if contents.files > MOST_FILES || headers > 4 * MOST_FILES {
            return Err(refused(&format!("push at most {MOST_FILES} files")));
        }
        if contents.bytes > MOST_BYTES {
            return Err(refused(&format!(
                "push at most {} GiB of files",
                MOST_BYTES >> 30
            )));
        }
    }
    // The end of the tar archive is not yet that of the compressed file, which has the checksum.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(damaged)?;
    if contents.files == 0 {
        return Err(refused("there is no file in it"));
    }
    Ok(contents)
}

fn named(packed: Box<dyn Read>) -> Result<(), DagRefusal> {
    let mut archive = unpacked(packed);
    let mut seen = HashSet::new();
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let path = path_of(&entry)?;
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => {}
            EntryType::Regular => {
                if !seen.insert(path.clone()) {
                    return Err(refused(&format!("`{path}` is in it twice")));
                }
            }
            EntryType::Symlink => check_link(&path, &entry)?,
            _ => {
                let why = format!("`{path}` is neither a file, a directory nor a symbolic link");
                return Err(refused(&why));
            }
        }
    }
    Ok(())
}

/// Plain steps downwards, as UTF-8, without `./` and a slash at the end.
fn path_of(entry: &Entry<'_, impl Read>) -> Result<String, DagRefusal> {
    let bytes = entry.path_bytes();
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        let shown = String::from_utf8_lossy(&bytes)
            .chars()
            .take(100)
            .collect::<String>();
        refused(&format!("the name of `{shown}` is not UTF-8"))
    })?;
    let shown: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    let plain = text.len() <= LONGEST_PATH
        && !text.chars().any(char::is_control)
        && Path::new(text)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain {
        return Err(refused(&format!(
            "`{shown}` is no plain path below the top: no `..`, no `/` in front, up to {LONGEST_PATH} characters"
        )));
    }
    let parts = Path::new(text).components().filter_map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    Ok(parts.collect::<Vec<_>>().join("/"))
}

/// A link may lead to something else in the archive.
fn check_link(path: &str, entry: &Entry<'_, impl Read>) -> Result<(), DagRefusal> {
    let escapes = || refused(&format!("the link `{path}` leads out of the pushed folder"));
    let target = entry.link_name().map_err(damaged)?.ok_or_else(escapes)?;
    let mut depth = path.split('/').count() - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(escapes)?,
            Component::RootDir | Component::Prefix(_) => return Err(escapes()),
        }
    }
    Ok(())
}

fn refused(why: &str) -> DagRefusal {
    DagRefusal::Archive { why: why.to_owned() }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn damaged(error: std::io::Error) -> DagRefusal {
    tracing::debug!(%error, "a pushed archive cannot be read");
    refused(
        "it is no complete gzipped tar archive: make it with `tar -czf`, or push with `updraft dags push`",
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Write as _};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, EntryType, Header};

    use super::{Contents, check};
    use crate::DagRefusal;

    type Packing = Builder<GzEncoder<Vec<u8>>>;

    fn packed(fill: impl FnOnce(&mut Packing)) -> Vec<u8> {
        let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        fill(&mut archive);
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn add(archive: &mut Packing, name: &str, kind: EntryType, link: &str, content: &[u8]) {
        let mut header = Header::new_gnu();
        // Past the builder's own checks of names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }

    fn checked(bytes: Vec<u8>) -> Result<Contents, String> {
        let answer = check(move || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read>));
        answer.map_err(|refusal| match refusal {
            DagRefusal::Archive { why } => why,
            other => panic!("{other}"),
        })
    }

    fn one(name: &str, kind: EntryType, link: &str) -> Result<Contents, String> {
        checked(packed(|archive| {
            add(archive, "a.py", EntryType::Regular, "", b"x = 1");
            add(archive, name, kind, link, b"");
        }))
    }

    #[test]
    fn files_directories_and_links_within_are_fine() {
        let bytes = packed(|archive| {
            add(archive, "./", EntryType::Directory, "", b"");
            add(archive, "./a.py", EntryType::Regular, "", b"x = 1");
            add(archive, "b/c.py", EntryType::Regular, "", b"y");
            add(archive, "b/d.py", EntryType::Symlink, "../a.py", b"");
            let mut header = Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            let long = format!("{}/e.py", "x".repeat(200));
            archive.append_data(&mut header, long, b"z".as_slice()).unwrap();
        });
        assert_eq!(checked(bytes), Ok(Contents { files: 3, bytes: 7 }));
    }

    #[test]
    fn nothing_points_out_of_the_archive() {
        for name in ["/etc/passwd", "../x.py", "a/../../x.py", "a\n.py"] {
            assert!(
                one(name, EntryType::Regular, "")
                    .unwrap_err()
                    .contains("no plain path"),
                "{name}"
            );
        }
        for link in ["/etc/passwd", "..", "../x", "b/../../x"] {
            assert!(
                one("l", EntryType::Symlink, link)
                    .unwrap_err()
                    .contains("leads out"),
                "{link}"
            );
        }
        for kind in [
            EntryType::Link,
            EntryType::Char,
            EntryType::Block,
            EntryType::Fifo,
        ] {
            assert!(
                one("d", kind, "a.py").unwrap_err().contains("neither"),
                "{kind:?}"
            );
        }
        assert!(one("a.py", EntryType::Regular, "").unwrap_err().contains("twice"));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let good = packed(|archive| add(archive, "a.py", EntryType::Regular, "", &[7; 4096]));
        for bad in [
            b"".to_vec(),
            b"PK\x03\x04".to_vec(),
            good[..good.len() / 2].to_vec(),
            good[..good.len() - 5].to_vec(),
        ] {
            assert!(checked(bad).is_err());
        }
        assert!(checked(packed(|_| ())).unwrap_err().contains("no file"));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        let mut header = Header::new_gnu();
        header.set_path("a.py").unwrap();
        header.set_size(3 << 30);
        header.set_cksum();
        bomb.write_all(header.as_bytes()).unwrap();
        assert!(checked(bomb.finish().unwrap()).is_err());

        let mut name = GzEncoder::new(Vec::new(), Compression::best());
        let mut header = Header::new_gnu();
        header.set_path("././@LongLink").unwrap();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 20);
        header.set_cksum();
        name.write_all(header.as_bytes()).unwrap();
        name.write_all(&vec![b'x'; 1 << 20]).unwrap();
        assert!(
            checked(name.finish().unwrap())
                .unwrap_err()
                .contains("far too large")
        );
    }

    #[test]
    fn too_many_files_are_refused() {
        let bytes = packed(|archive| {
            for number in 0..=super::MOST_FILES {
                add(archive, &format!("{number}.py"), EntryType::Regular, "", b"");
            }
        });
        assert!(checked(bytes).unwrap_err().contains("50000 files"));
    }
}
