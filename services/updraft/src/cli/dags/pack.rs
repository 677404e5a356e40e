//! A directory as a gzipped tar archive: the same files make the same bytes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::cli::error::{CliError, Exit};

/// Of no use to Airflow, and different on each machine.
const LEFT_OUT: [&str; 6] = [
    ".git",
    "__pycache__",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".DS_Store",
];

type Archive = Builder<GzEncoder<Vec<u8>>>;

pub(super) fn packed(directory: &Path) -> Result<Vec<u8>, CliError> {
    if !directory.is_dir() {
        let what = format!("{} is no directory", directory.display());
        return Err(CliError::new(Exit::Usage, what).next("name the directory that holds the DAGs"));
    }
    let failed = |error: io::Error| CliError::io(format!("cannot pack {}", directory.display()), &error);
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    add_all(&mut archive, directory, Path::new("")).map_err(failed)?;
    let encoder = archive.into_inner().map_err(failed)?;
    encoder.finish().map_err(failed)
}

fn add_all(archive: &mut Archive, directory: &Path, below: &Path) -> io::Result<()> {
    let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name() else { continue };
        let is_left_out = name.to_str().is_some_and(|name| LEFT_OUT.contains(&name));
        if is_left_out || path.extension().is_some_and(|kind| kind == "pyc") {
            continue;
        }
        let (within, kind) = (below.join(name), fs::symlink_metadata(&path)?.file_type());
        if kind.is_dir() {
            add_all(archive, &path, &within)?;
        } else if kind.is_symlink() {
            let mut header = plain(EntryType::Symlink, 0);
            archive.append_link(&mut header, &within, fs::read_link(&path)?)?;
        } else if kind.is_file() {
            let file = File::open(&path)?;
            let mut header = plain(EntryType::Regular, file.metadata()?.len());
            archive.append_data(&mut header, &within, file)?;
        }
    }
    Ok(())
}

/// Nobody's and of no time: neither says anything of the DAGs.
fn plain(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::packed;

    #[test]
    fn the_same_files_make_the_same_bytes_without_what_is_of_no_use() {
        let directory = tempfile::tempdir().unwrap();
        let below = |name: &str| directory.path().join(name);
        fs::create_dir_all(below("b/__pycache__")).unwrap();
        fs::write(below("a.py"), "x = 1").unwrap();
        fs::write(below("b/c.py"), "y = 2").unwrap();
        let before = packed(directory.path()).unwrap();
        fs::write(below("b/__pycache__/c.pyc"), "junk").unwrap();
        fs::write(below("a.py"), "x = 1").unwrap();
        assert_eq!(packed(directory.path()).unwrap(), before);

        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(before.as_slice()));
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a.py", "b/c.py"]);
        fs::write(below("a.py"), "x = 2").unwrap();
        assert_ne!(packed(directory.path()).unwrap(), before);
    }

    #[test]
    fn what_is_no_directory_is_said_to_be_none() {
        assert!(
            packed("/nowhere/at/all".as_ref())
                .unwrap_err()
                .to_string()
                .contains("is no directory")
        );
    }
}
