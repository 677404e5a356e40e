//! The mail itself: text, and the same as plain HTML. Nothing in it is fetched from anywhere, and the one link is the
//! link. Whoever did not ask learns that nothing happened.

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use secrecy::ExposeSecret as _;
use updraft_app::Letter;

use super::MailError;

const SUBJECT: &str = "Set a new password for Updraft";

/// # Errors
/// [`MailError::Unwritable`] for an address that is none.
pub(super) fn written(letter: &Letter, from: &Mailbox) -> Result<Message, MailError> {
    // Parsed, not pasted: an address holds no line break that could begin another header.
    let to = letter
        .to
        .parse()
        .map_err(|error| MailError::Unwritable(Box::new(error)))?;
    // RFC 3834: whoever is away does not answer this.
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(SUBJECT)
        .message_id(Some(format!("<{}@{}>", letter.id, from.email.domain())))
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(text(letter), html(letter)))
        .map_err(|error| MailError::Unwritable(Box::new(error)))
}

fn text(letter: &Letter) -> String {
    format!(
        "Somebody asked for a new password for {to}.\n\n\
         To choose one, open this link. It is good once, until {until}:\n\n{link}\n\n\
         Choosing a password signs you out everywhere. If you have an authenticator app, it is still asked for.\n\n\
         If it was not you, do nothing: your password stays as it is.\n",
        to = letter.to,
        until = until(letter),
        link = letter.link.expose_secret(),
    )
}

fn html(letter: &Letter) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{SUBJECT}</title></head><body>\
         <p>Somebody asked for a new password for {to}.</p>\
         <p><a href=\"{link}\">Choose a new password</a></p>\
         <p>The link is good once, until {until}. If it does not open, copy it:<br>{link}</p>\
         <p>Choosing a password signs you out everywhere. If you have an authenticator app, it is still asked for.</p>\
         <p>If it was not you, do nothing: your password stays as it is.</p></body></html>",
        to = escaped(&letter.to),
        until = until(letter),
        link = escaped(letter.link.expose_secret()),
    )
}

fn until(letter: &Letter) -> String {
    letter.expires_at.format("%H:%M UTC on %-d %B %Y").to_string()
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn an_address_is_text_in_html_too() {
        assert_eq!(escaped(r#"a"<b>&'c@d.e"#), "a&quot;&lt;b&gt;&amp;&#39;c@d.e");
    }
}
