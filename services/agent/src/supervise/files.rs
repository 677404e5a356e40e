//! Files and directories that an assignment names, written before what needs them starts.

use updraft_api::agent::FileAssignment;

use crate::error::Result;
use crate::place::{Ownership, Place};

/// Makes the directories and writes what differs, for the services alone.
///
/// # Errors
/// The first that cannot be made.
pub(crate) fn write_files(place: &Place, directories: &[String], files: &[FileAssignment]) -> Result<()> {
    for directory in directories {
        place.directory(directory, 0o700, Ownership::Service)?;
    }
    for file in files {
        if let Some((parent, _)) = file.path.rsplit_once('/') {
            place.directory_above(parent)?;
        }
        // A link or a directory that a service put there is replaced, or told of.
        let same = place
            .read(&file.path)
            .is_ok_and(|now| now.as_deref() == Some(file.content.as_bytes()));
        if !same {
            place.write_soon(&file.path, file.content.as_bytes(), 0o600, Ownership::Service)?;
        }
    }
    Ok(())
}
