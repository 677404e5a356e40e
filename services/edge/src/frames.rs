//! Where one frame of a websocket ends and the next begins, so that a last one can be put between two of them.

/// Two bytes, eight of length, four of mask (RFC 6455 section 5.2).
const LONGEST_HEAD: usize = 14;
/// "Going away" (section 7.4.1): the page opens another one.
pub(crate) const CLOSE_TO_CLIENT: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
/// The same as a client says it: masked, with a mask of zeros.
pub(crate) const CLOSE_TO_SERVER: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

/// Follows the bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: [u8; LONGEST_HEAD],
    /// Of the head, so far.
    known: usize,
    /// Of the body, yet to come.
    left: u64,
}

// === impl Frames ===

impl Frames {
    pub(crate) fn at_boundary(&self) -> bool {
        self.known == 0 && self.left == 0
    }

    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((_, after)) = self.pass_to_boundary(rest) {
            rest = after;
        }
    }

    /// Up to the end of the frame that these bytes are of or begin with, if it is among them: that much, and the rest.
    pub(crate) fn pass_to_boundary<'b>(&mut self, bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.left == 0 {
                self.learn(*byte);
                at += 1;
            } else {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                let here = here.min(bytes.len() - at);
                self.left -= here as u64;
                at += here;
            }
            if self.at_boundary() {
                return Some(bytes.split_at(at));
            }
        }
        None
    }

    /// One more byte of the head.
    fn learn(&mut self, byte: u8) {
        if let Some(place) = self.head.get_mut(self.known) {
            *place = byte;
        }
        self.known += 1;
        if self.known < 2 {
            return;
        }
        let (is_masked, short) = (self.head[1] & 0x80 != 0, self.head[1] & 0x7f);
        let extended = match short {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        if self.known == 2 + extended + if is_masked { 4 } else { 0 } {
            let long = self.head[2..2 + extended].iter();
            let long = long.fold(0, |length, byte| length << 8 | u64::from(*byte));
            self.left = if extended == 0 { short.into() } else { long };
            self.known = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOSE_TO_CLIENT, CLOSE_TO_SERVER, Frames};

    fn frame(length: usize, is_masked: bool) -> Vec<u8> {
        let mask: &[u8] = if is_masked { &[1, 2, 3, 4] } else { &[] };
        let flag = if is_masked { 0x80 } else { 0 };
        let head = match length {
            0..126 => vec![0x82, flag | length as u8],
            126..65536 => [&[0x82, flag | 126], (length as u16).to_be_bytes().as_slice()].concat(),
            _ => [&[0x82, flag | 127], (length as u64).to_be_bytes().as_slice()].concat(),
        };
        [head.as_slice(), mask, &vec![0x82; length]].concat()
    }

    #[test]
    fn frames_of_every_length_end_where_they_end_however_they_come() {
        for length in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
            for is_masked in [false, true] {
                let bytes = frame(length, is_masked);
                for piece in [1, 2, 3, 7, 1000, bytes.len()] {
                    let (mut frames, mut passed) = (Frames::default(), 0);
                    for part in bytes.chunks(piece) {
                        assert_eq!(frames.at_boundary(), passed == 0, "{length} after {passed}");
                        frames.pass(part);
                        passed += part.len();
                    }
                    assert!(frames.at_boundary(), "{length} {is_masked} in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn the_first_of_two_frames_is_cut_off() {
        let two = [frame(5, false), frame(300, true)].concat();
        let mut frames = Frames::default();
        frames.pass(&two[..3]);
        let (end, rest) = frames.pass_to_boundary(&two[3..]).unwrap();
        assert_eq!((end.len(), rest.len()), (4, 308));
        assert!(frames.pass_to_boundary(&rest[..307]).is_none());
    }

    #[test]
    fn last_words_are_frames() {
        for words in [CLOSE_TO_CLIENT.as_slice(), &CLOSE_TO_SERVER] {
            let mut frames = Frames::default();
            assert_eq!(frames.pass_to_boundary(words), Some((words, &[][..])));
        }
    }
}
