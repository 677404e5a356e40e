//! A notice as one self-contained page: no request but for itself, no inline handlers, nothing but two hashed blocks.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{Action, Follow, Text, Tone};

pub(crate) struct Rendered {
    pub(crate) html: String,
    pub(crate) content_security_policy: String,
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));
static SCRIPT_HASH: LazyLock<String> = LazyLock::new(|| hash(SCRIPT));

pub(crate) fn render(text: &Text<'_>, request_id: &str) -> Rendered {
    let (icon, tone) = match text.tone {
        Tone::Busy => ("◐", "busy"),
        Tone::Calm => ("○", "calm"),
        Tone::Bad => ("✕", "bad"),
    };
    let (refresh, script) = match text.follow {
        Follow::Stay => ("", String::new()),
        Follow::Reload => ("<meta http-equiv=\"refresh\" content=\"3\">", String::new()),
        Follow::Poll => (
            "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>",
            format!("<script>{SCRIPT}</script>"),
        ),
    };
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{heading} · Updraft</title>{refresh}<style>{STYLE}</style></head>\n\
         <body><main data-kind=\"{kind}\"><p class=\"icon {tone}\" aria-hidden=\"true\">{icon}</p>\
         <h1>{heading}</h1><p role=\"status\" aria-live=\"polite\" id=\"message\">{message}</p>\
         <p class=\"remedy\">{remedy}</p>{action}</main>\
         <footer>Updraft · request <code>{request_id}</code></footer>{script}</body>\n</html>\n",
        heading = escape(&text.heading),
        message = escape(&text.message),
        remedy = escape(&text.remedy),
        kind = text.kind,
        action = text.action.as_ref().map(action).unwrap_or_default(),
        request_id = escape(request_id),
    );
    Rendered {
        html,
        content_security_policy: policy(text),
    }
}

fn action(action: &Action<'_>) -> String {
    match action {
        Action::Link { label, href } => {
            format!("<p><a class=\"button\" href=\"{}\">{label}</a></p>", escape(href))
        }
        Action::Post { label, .. } => {
            format!("<form method=\"post\"><button class=\"button\">{label}</button></form>")
        }
    }
}

fn policy(text: &Text<'_>) -> String {
    // Browsers hold a form's redirects to the same rule.
    let forms = match &text.action {
        Some(Action::Post { then, .. }) => format!("'self' {then}"),
        Some(Action::Link { .. }) | None => "'none'".to_owned(),
    };
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; form-action {forms}; \
         base-uri 'none'; frame-ancestors 'none'",
        *STYLE_HASH, *SCRIPT_HASH
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// For text and for quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
