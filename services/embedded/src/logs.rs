//! Keeps a log file from growing without end.
//!
//! Processes hold their log open and outlive us, so the file is copied and emptied instead of renamed. They write in
//! append mode, so they go on at its new end. A line written between the two is lost: a price for logs of servers only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const LARGEST: u64 = 16 * 1024 * 1024;
const KEPT: u32 = 3;

/// How far back the end of a log is read for an error message.
const TAIL: u64 = 8 * 1024;

/// Opens a log for a process to write to, readable by this user only.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Moves a log that has grown too large to `.1`, the one before to `.2`, and so on.
pub(crate) fn rotate(path: &Path) -> io::Result<()> {
    rotate_beyond(path, LARGEST)
}

fn rotate_beyond(path: &Path, largest: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() <= largest {
        return Ok(());
    }
    for older in (1..KEPT).rev() {
        match fs::rename(numbered(path, older), numbered(path, older + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::copy(path, numbered(path, 1))?;
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    path.with_added_extension(number.to_string())
}

/// The position new output begins at.
pub(crate) fn end(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The last line that tells why, of what was written since `from`: the last one marked as an error, else the last.
pub(crate) fn reason(path: &Path, from: u64) -> Option<String> {
    const MARKS: [&str; 4] = ["FATAL", "PANIC", "panic:", "ERROR"];
    let mut file = File::open(path).ok()?;
    let start = end(path).saturating_sub(TAIL).max(from);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = || text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let is_marked = |line: &&str| MARKS.iter().any(|mark| line.contains(mark)) || line.starts_with('F');
    lines()
        .find(is_marked)
        .or_else(|| lines().next())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn grown_log_is_moved_aside_and_its_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("service.log");
        let mut writer = open(&path).unwrap();
        for round in 0..5 {
            writer
                .write_all(format!("round {round}\n").repeat(10).as_bytes())
                .unwrap();
            rotate_beyond(&path, 20).unwrap();
        }
        writer.write_all(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
        assert!(
            fs::read_to_string(numbered(&path, 1))
                .unwrap()
                .starts_with("round 4")
        );
        assert!(
            fs::read_to_string(numbered(&path, 3))
                .unwrap()
                .starts_with("round 2")
        );
        assert!(!numbered(&path, 4).exists());
    }

    #[test]
    fn reason_is_the_last_error_since_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("service.log");
        fs::write(&path, "FATAL: yesterday's\n").unwrap();
        let from = end(&path);
        let mut writer = open(&path).unwrap();
        writer
            .write_all(b"hello\nFATAL:  no room\nLOG: shut down\n")
            .unwrap();
        assert_eq!(reason(&path, from).as_deref(), Some("FATAL:  no room"));
    }
}
