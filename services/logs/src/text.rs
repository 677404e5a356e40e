//! Log text as text: no escape sequence of a terminal, no control character, nothing that turns writing around.
//!
//! What a task prints is a stranger's. It is shown in terminals and on pages, so what would move a cursor, colour the
//! lines of others, or hide what follows becomes visible or goes.

use std::borrow::Cow;

/// Bytes of one line that are shown.
pub(crate) const LONGEST: usize = 16 << 10;

/// The text of a line, and whether it was longer than what is shown.
pub(crate) fn clean(raw: &[u8]) -> (String, bool) {
    let cut = raw.len() > LONGEST;
    let text = String::from_utf8_lossy(&raw[..raw.len().min(LONGEST)]);
    let text = if cut {
        Cow::from(text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned())
    } else {
        text
    };
    (harmless(&text), cut)
}

/// The same of text that was encoded inside a line.
pub(crate) fn harmless(text: &str) -> String {
    if !text.chars().any(is_harmful) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            // The C1 form of `ESC [`.
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\r' if matches!(chars.peek(), None | Some('\n')) => {}
            c if is_harmful(c) => out.push(visible(c)),
            c => out.push(c),
        }
    }
    out
}

fn is_harmful(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n')) || turns_writing(c)
}

/// Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9), and what ends lines elsewhere.
fn turns_writing(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// C0 controls as their pictures, anything else as the sign for what can't be shown.
fn visible(c: char) -> char {
    match u32::from(c) {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After ESC (ECMA-48): a control sequence, a string that runs to its terminator, or a single function.
fn skip_escape(rest: &mut Rest<'_>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_control_sequence(rest);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        Some(' '..='~') => {
            rest.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(rest: &mut Rest<'_>) {
    while rest.next_if(|c| matches!(c, '\u{20}'..='\u{3f}')).is_some() {}
    rest.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
}

/// Up to BEL or `ESC \`; to the end of the line when neither comes.
fn skip_string(rest: &mut Rest<'_>) {
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' if rest.next_if(|c| *c == '\\').is_some() => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, clean, harmless};

    #[test]
    fn colours_and_cursor_movements_go_and_the_words_stay() {
        for (raw, shown) in [
            ("\u{1b}[31mred\u{1b}[0m alert", "red alert"),
            ("\u{1b}[2J\u{1b}[1;1Hgone?", "gone?"),
            ("\u{1b}]0;title\u{7}text", "text"),
            (
                "\u{1b}]8;;https://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
                "link",
            ),
            ("\u{1b}Pq#0\u{1b}\\x", "x"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}creset", "reset"),
            ("50 %\r100 %\r", "50 %␍100 %"),
            ("a\u{8}b\u{0}c\u{7f}", "a␈b␀c␡"),
            ("user\u{202e}gpj.exe\u{2066}", "user\u{fffd}gpj.exe\u{fffd}"),
            ("tab\tand größe 日本語", "tab\tand größe 日本語"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
        ] {
            assert_eq!(clean(raw.as_bytes()), (shown.to_owned(), false), "{raw:?}");
        }
    }

    #[test]
    fn no_text_at_all_leaves_anything_harmful() {
        let mut seed = 7_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 24
        };
        let of_interest = [
            '\u{1b}', '[', ']', '\\', '\u{7}', '\u{9b}', '\u{202e}', 'm', '3', ';', '\n', '\r',
        ];
        for _ in 0..2_000 {
            let text: String = (0..24)
                .map(|_| of_interest[next() as usize % of_interest.len()])
                .collect();
            let shown = harmless(&text);
            assert!(!shown.chars().any(super::is_harmful), "{text:?} became {shown:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_and_endless_lines_are_shown_as_far_as_they_can_be() {
        assert_eq!(clean(b"a\xffb").0, "a\u{fffd}b");
        let (text, cut) = clean("é".repeat(LONGEST).as_bytes());
        assert!(cut && text.len() <= LONGEST && text.ends_with('é'));
    }
}
