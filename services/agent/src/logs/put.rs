//! Putting an object that grows, so that whoever is late loses. It is replaced only as it was known to be: a request that an agent
//! had under way when it died, and that the store carries out later than what its successor put, finds another object than it
//! knew of, or one where it knew of none, and is refused.
//!
//! Who is refused looks at what is there. It must be the beginning of the file, for a file is cut by its bytes alone; if it is not,
//! the file was emptied while nobody looked. A store that knows no conditions carries out every request, and the last one counts.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use updraft_api::log_layout::LogKey;

use super::bucket::{LogBucket, Put};
use super::send::read;
use crate::error::{Error, Result};

/// Each time somebody else's request was carried out in between: dead agents have few.
const TRIES: usize = 5;
const PIECE: u64 = 256 << 10;

/// What is known of the object that is to be put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum There {
    /// There should be none.
    #[default]
    Nothing,
    /// There should be one, and what it holds is to be looked at first.
    Something,
    /// As long as it has this tag, it holds the file up to that place.
    Known { tag: String, end: u64 },
    /// The store keeps no tags, or takes no conditions.
    Untold,
}

#[derive(Debug)]
pub(crate) enum Placed {
    /// The bucket has all of it, perhaps more.
    Done(There),
    /// What is there is not of this file as it is now.
    Emptied,
}

// === impl There ===

impl There {
    pub(crate) fn put(tag: Option<String>, end: u64) -> Self {
        tag.map_or(Self::Untold, |tag| Self::Known { tag, end })
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        match self {
            Self::Known { tag, .. } => Some(tag),
            Self::Nothing | Self::Something | Self::Untold => None,
        }
    }

    fn holds(&self, wanted: u64) -> bool {
        matches!(self, Self::Known { end, .. } if *end >= wanted)
    }
}

/// Puts what the file holds from the key's offset up to `end`, unless as much is there.
pub(crate) async fn place(
    bucket: &LogBucket,
    key: &LogKey,
    (gzip, end): (&[u8], u64),
    mut there: There,
    file: &Arc<File>,
) -> Result<Placed> {
    for _ in 0..TRIES {
        if there.holds(end) {
            return Ok(Placed::Done(there));
        }
        if there != There::Something
            && let Put::Done(tag) = bucket.put(key, gzip.to_vec(), &there).await?
        {
            return Ok(Placed::Done(There::put(tag, end)));
        }
        match look(bucket, key, file).await? {
            Some(found) => there = found,
            None => return Ok(Placed::Emptied),
        }
    }
    Err(Error::Logs(
        "an object changed whenever it was written".to_owned(),
    ))
}

/// What is there, if it is of this file.
async fn look(bucket: &LogBucket, key: &LogKey, file: &Arc<File>) -> Result<Option<There>> {
    let Some((tag, gzip)) = bucket.get(key).await? else {
        return Ok(Some(There::Nothing));
    };
    let (from, file) = (key.offset, Arc::clone(file));
    let compared = tokio::task::spawn_blocking(move || end_of_beginning(&file, from, &gzip)).await;
    let compared = compared.map_err(|_| Error::Logs("looking at a log was broken off".to_owned()))?;
    let end = compared.map_err(Error::file("read", "a log"))?;
    Ok(end.map(|end| There::put(tag, end)))
}

/// Where the file's bytes end that are in there. None: others are, or what can't be unpacked.
fn end_of_beginning(file: &File, from: u64, gzip: &[u8]) -> io::Result<Option<u64>> {
    let (mut unpacked, mut at) = (MultiGzDecoder::new(gzip), from);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        if unpacked.by_ref().take(PIECE).read_to_end(&mut piece).is_err() {
            return Ok(None);
        }
        if piece.is_empty() {
            return Ok(Some(at));
        }
        if read(file, at, piece.len() as u64)? != piece {
            return Ok(None);
        }
        at += piece.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;

    use super::super::send::compress;
    use super::end_of_beginning;

    #[test]
    fn only_the_beginning_of_a_file_is_taken_for_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        let end = |from: u64, pieces: &[&[u8]]| {
            let mut gzip = Vec::new();
            for piece in pieces {
                compress(piece, Compression::new(1), &mut gzip).unwrap();
            }
            end_of_beginning(&file, from, &gzip).unwrap()
        };
        assert_eq!(end(0, &[b"one\n", b"tw"]), Some(6));
        assert_eq!(end(4, &[b"two\nthree\n"]), Some(14));
        assert_eq!(end(0, &[b"uno\n"]), None, "others");
        assert_eq!(end(4, &[b"two\nthree\n", b"four\n"]), None, "more than there is");
        assert_eq!(end_of_beginning(&file, 0, b"not gzip").unwrap(), None);
    }
}
