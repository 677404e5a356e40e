//! Where a file is cut into objects. Pure, and of its bytes alone: whoever cuts it again, after whatever crash, cuts at the same
//! places, so that what is sent twice has the same key.

/// A segment ends with the first line that takes it to this many bytes or beyond.
pub const SEGMENT: u64 = 1 << 20;
/// Or here, in the middle of a line that is longer than any log's should be.
pub const LONGEST: u64 = 4 << 20;

/// How far a segment may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// All below this place is sent.
    pub end: u64,
    /// The next segment begins here.
    pub closes: bool,
}

/// What can be sent of the segment that begins at `segment`, when `data` are the file's bytes from `from` on: whole lines, and with
/// `unfinished` also the beginning of the last one. None when there is nothing.
#[must_use]
pub fn cut(segment: u64, from: u64, data: &[u8], unfinished: bool) -> Option<Cut> {
    let limit = segment + LONGEST;
    let data = &data[..data
        .len()
        .min(usize::try_from(limit.saturating_sub(from)).unwrap_or(0))];
    let length = data.len() as u64;
    let full = usize::try_from((segment + SEGMENT - 1).saturating_sub(from)).unwrap_or(usize::MAX);
    let newline = |byte: &u8| *byte == b'\n';
    if let Some(at) = data.get(full..).and_then(|rest| rest.iter().position(newline)) {
        return Some(Cut {
            end: from + (full + at) as u64 + 1,
            closes: true,
        });
    }
    let end = if unfinished || from + length == limit {
        from + length
    } else {
        from + data.iter().rposition(newline)? as u64 + 1
    };
    (end > from).then_some(Cut {
        end,
        closes: end == limit,
    })
}

#[cfg(test)]
mod tests {
    use super::{Cut, LONGEST, SEGMENT, cut};

    #[test]
    fn whole_lines_are_sent_and_the_rest_waits_unless_it_waited_enough() {
        assert_eq!(
            cut(0, 0, b"one\ntwo\nthr", false),
            Some(Cut {
                end: 8,
                closes: false
            })
        );
        assert_eq!(
            cut(0, 0, b"one\ntwo\nthr", true),
            Some(Cut {
                end: 11,
                closes: false
            })
        );
        assert_eq!(cut(0, 8, b"thr", false), None);
        assert_eq!(cut(0, 8, b"", true), None);
    }

    #[test]
    fn a_segment_closes_with_the_line_that_fills_it() {
        let line = SEGMENT as usize / 2 + 10;
        let data = [
            vec![b'x'; line],
            b"\n".to_vec(),
            vec![b'y'; line],
            b"\nnext\n".to_vec(),
        ]
        .concat();
        let end = 2 * (line as u64 + 1);
        assert_eq!(cut(0, 0, &data, false), Some(Cut { end, closes: true }));
        // The same place, wherever one begins to read.
        for from in [1, line, line + 1, line + 2, 2 * line] {
            assert_eq!(
                cut(0, from as u64, &data[from..], true),
                Some(Cut { end, closes: true })
            );
        }
    }

    #[test]
    fn a_newline_at_the_very_boundary_closes() {
        let data = [vec![b'x'; SEGMENT as usize - 1], b"\n\n".to_vec()].concat();
        assert_eq!(
            cut(0, 0, &data, false),
            Some(Cut {
                end: SEGMENT,
                closes: true
            })
        );
    }

    #[test]
    fn an_endless_line_is_cut_where_it_is_too_long() {
        let data = vec![b'x'; LONGEST as usize + 100];
        assert_eq!(
            cut(7, 7, &data, false),
            Some(Cut {
                end: LONGEST + 7,
                closes: true
            })
        );
        assert_eq!(
            cut(7, LONGEST, &data, false),
            Some(Cut {
                end: LONGEST + 7,
                closes: true
            })
        );
        assert_eq!(cut(0, 0, &data[..1000], false), None);
    }
}
