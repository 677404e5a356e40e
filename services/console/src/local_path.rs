//! A path of this console, fit to be redirected to. Anything that a browser could read as another site is refused.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalPath(String);

// === impl LocalPath ===

impl LocalPath {
    /// One leading slash, then neither slash nor backslash; no control characters, which browsers drop.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let leaves = rest.starts_with(['/', '\\']);
        let plain = rest.chars().all(|c| !c.is_control() && c != '\\' && c.is_ascii());
        (!leaves && plain && text.len() <= 4_096).then(|| Self(text.to_owned()))
    }

    /// Where one lands without a wish.
    pub(crate) fn home() -> Self {
        Self("/clusters".to_owned())
    }

    pub(crate) fn or_home(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(Self::home)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_handover(&self) -> bool {
        self.0.starts_with("/handover?")
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::LocalPath;

    #[test]
    fn only_paths_of_this_console_are_returned_to() {
        for good in [
            "/",
            "/clusters/1?q=a%20b",
            "/handover?host=127.0.0.1:7701&binding=ab&return_to=%2Fa%2F%2Fb",
        ] {
            assert!(LocalPath::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "clusters",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "http://evil.example",
            "/\t/evil.example",
            "/a\r\nset-cookie: x",
            "/clusters\\..",
            "javascript:alert(1)",
        ] {
            assert!(LocalPath::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(LocalPath::or_home("//evil.example").as_str(), "/clusters");
    }
}
