//! Packing what an ended attempt wrote into as few objects as can be. First the whole is written under the first one's key, then
//! the others are removed: at every moment all bytes are there, and who reads by offsets reads none twice.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use updraft_api::log_layout::LogKey;

use super::bucket::{LogBucket, Put};
use super::put::There;
use super::send::{Turn, open_known, read};
use super::stream::Standing;
use crate::error::{Error, Result};
use crate::layout::Layout;

/// Bytes of one packed object, before compression: what is held in memory is some tenth of it.
const LARGEST: u64 = 32 << 20;
/// Smaller objects are not worth another request.
const WORTH: u64 = 64 << 10;
const THOROUGH: Compression = Compression::new(6);
const PIECE: u64 = 256 << 10;

/// Whether there is nothing to do for a file of this kind: it is one object, and a small one.
pub(crate) fn is_packed_already(standing: &Standing) -> bool {
    standing.gaps || (standing.segment == 0 && standing.sent < WORTH)
}

/// What became of the objects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    AsItWas,
    /// The one there is was written anew.
    Anew(There),
    /// Many became fewer.
    Merged,
}

pub(crate) async fn pack(turn: Turn, layout: Layout, bucket: LogBucket) -> Result<Packed> {
    let length = turn.standing.sent;
    if turn.standing.segment == 0 && turn.there.tag().is_some() {
        let there = rewrite(&turn, &layout, &bucket, (0, length), &turn.there).await?;
        return Ok(Packed::Anew(there));
    }
    let objects = bucket.objects(&turn.source, &turn.standing.file).await?;
    let known = |offset: u64| match objects.get(&offset) {
        Some(tag) => There::put(tag.clone(), offset),
        None => There::Nothing,
    };
    if turn.standing.segment == 0 {
        let there = rewrite(&turn, &layout, &bucket, (0, length), &known(0)).await?;
        return Ok(Packed::Anew(there));
    }
    let starts: Vec<u64> = objects.keys().copied().collect();
    for group in groups(&starts, length) {
        let (Some(first), [_, others @ ..]) = (group.starts.first(), group.starts.as_slice()) else {
            continue;
        };
        rewrite(&turn, &layout, &bucket, (*first, group.end), &known(*first)).await?;
        for offset in others {
            bucket.remove(&key(&turn, *offset)).await?;
        }
    }
    Ok(Packed::Merged)
}

#[derive(Debug, PartialEq, Eq)]
struct Group {
    starts: Vec<u64>,
    end: u64,
}

/// Neighbours that fit into one object together; those that stay alone are left out. Pure.
fn groups(starts: &[u64], length: u64) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let ends = starts.iter().skip(1).copied().chain([length]);
    for (start, end) in starts.iter().copied().zip(ends) {
        match groups.last_mut() {
            Some(group) if end - group.starts[0] <= LARGEST => {
                group.starts.push(start);
                group.end = end;
            }
            _ => groups.push(Group {
                starts: vec![start],
                end,
            }),
        }
    }
    groups.retain(|group| group.starts.len() > 1);
    groups
}

/// In place of what was there a moment ago.
async fn rewrite(
    turn: &Turn,
    layout: &Layout,
    bucket: &LogBucket,
    (from, to): (u64, u64),
    there: &There,
) -> Result<There> {
    let (layout, path, open) = (layout.clone(), turn.path.clone(), turn.file.clone());
    let identity = turn.standing.identity();
    let compressed = tokio::task::spawn_blocking(move || {
        let file = match open {
            Some(file) => file,
            None => Arc::new(open_known(&layout, &path, identity)?),
        };
        compress_range(&file, from, to).map_err(Error::file("read", &path))
    });
    let gzip = compressed
        .await
        .unwrap_or_else(|_| Err(Error::Logs("packing was broken off".to_owned())))?;
    match bucket.put(&key(turn, from), gzip, there).await? {
        Put::Done(tag) => Ok(There::put(tag, to)),
        Put::Refused => Err(Error::Logs("an object changed while it was packed".to_owned())),
    }
}

fn compress_range(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), THOROUGH);
    let mut at = from;
    while at < to {
        let data = read(file, at, PIECE.min(to - at))?;
        if data.is_empty() {
            // What is in the bucket must not become shorter.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        io::Write::write_all(&mut encoder, &data)?;
        at += data.len() as u64;
    }
    encoder.finish()
}

fn key(turn: &Turn, offset: u64) -> LogKey {
    LogKey {
        source: turn.source.clone(),
        file: turn.standing.file.clone(),
        offset,
    }
}

/// Inodes that some process of that user has open, but for this one.
pub(crate) fn held_open(uid: u32) -> BTreeSet<u64> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let others = processes.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_its = || entry.metadata().is_ok_and(|meta| meta.uid() == uid);
        name.bytes().all(|byte| byte.is_ascii_digit()) && name != own && is_its()
    });
    others
        .flat_map(|process| {
            std::fs::read_dir(process.path().join("fd"))
                .into_iter()
                .flatten()
                .flatten()
        })
        .filter_map(|descriptor| std::fs::metadata(descriptor.path()).ok())
        .filter(|meta| meta.file_type().is_file())
        .map(|meta| meta.ino())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Group, LARGEST, groups};

    #[test]
    fn neighbours_become_one_as_far_as_they_fit() {
        let half = LARGEST / 2;
        let grouped = groups(&[0, half, LARGEST, LARGEST + 1], LARGEST + 9);
        let expected = [
            Group {
                starts: vec![0, half],
                end: LARGEST,
            },
            Group {
                starts: vec![LARGEST, LARGEST + 1],
                end: LARGEST + 9,
            },
        ];
        assert_eq!(grouped, expected);
        assert_eq!(groups(&[0], 5), []);
        assert_eq!(groups(&[], 0), []);
        // Packed before, and grown since.
        assert_eq!(groups(&[0, LARGEST], LARGEST + 5), []);
    }
}
