//! Carries out what `room` decided: one arm per relief.

use std::fs::File;
use std::io;

use rustix::fs::{FallocateFlags, OFlags};

use super::look::{Identity, Seen};
use super::room::BLOCK;
use super::send::{anchor_at, read};
use super::stream::{ANCHOR, Stream};
use crate::error::{Error, Result};
use crate::place::Place;

const PIECE: u64 = 1 << 20;
/// At least this much stays free for others on the node's disk.
const RESERVE: u64 = 1 << 30;

/// What was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// Bytes that logs may take: the limit, or less where the disk itself is about to be full.
pub(crate) fn limit(place: &Place, wanted: u64, taken: u64) -> u64 {
    let Ok(disk) = place.look_into("logs").and_then(|logs| {
        rustix::fs::fstatvfs(logs).map_err(|errno| Error::file("look at", place.path())(errno.into()))
    }) else {
        return wanted;
    };
    let reserve = RESERVE.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 20);
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    wanted.min((taken + free).saturating_sub(reserve))
}

/// Gives the blocks up to a place back. Files and services notice nothing but zeros there.
pub(crate) fn punch(place: &Place, stream: &Stream, to: u64) -> Result<()> {
    let file = open_to_change(place, &stream.path, stream.standing.identity())?;
    // What tells the file from others stays.
    let end = to.min(stream.standing.sent.saturating_sub(ANCHOR)) / BLOCK * BLOCK;
    if end == 0 {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, flags, 0, end)
        .map_err(|errno| Error::file("shorten", place.path().join(&stream.path))(errno.into()))
}

/// Skips what was not sent, up to the first line's end at or after a place. Returns what is lost by it.
pub(crate) fn give_up(place: &Place, stream: &mut Stream, to: u64) -> Result<Loss> {
    let file = open_to_change(place, &stream.path, stream.standing.identity())?;
    let from = stream.standing.sent;
    let failed = |source| Error::file("read", place.path().join(&stream.path))(source);
    let (end, lines) = count(&file, from, to).map_err(failed)?;
    let anchor = anchor_at(&file, end).map_err(failed)?;
    stream.give_up(end, anchor);
    Ok(Loss {
        bytes: end - from,
        lines,
    })
}

fn count(file: &File, from: u64, to: u64) -> io::Result<(u64, u64)> {
    let (mut at, mut lines) = (from, 0);
    loop {
        let data = read(file, at, PIECE)?;
        let skip = usize::try_from(to.saturating_sub(at + 1)).unwrap_or(usize::MAX);
        let newlines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(last) = data
            .get(skip..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            return Ok((
                at + (skip + last) as u64 + 1,
                lines + newlines(&data[..=skip + last]),
            ));
        }
        at += data.len() as u64;
        lines += newlines(&data);
        if (data.len() as u64) < PIECE {
            return Ok((at, lines));
        }
    }
}

fn open_to_change(place: &Place, path: &str, identity: Identity) -> Result<File> {
    let file = place.open_file(path, OFlags::RDWR)?;
    let found = Seen::of(&file, "", path.to_owned()).map(|seen| seen.identity);
    if found == Some(identity) {
        Ok(file)
    } else {
        Err(Error::Logs(format!("`{path}` is another file now")))
    }
}
