//! Tags as people type them: one `key=value` a line. What is wrong with them, the use case says.

use indexmap::IndexMap;

pub(crate) fn read(text: &str) -> IndexMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            (key.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}

pub(crate) fn write(tags: &IndexMap<String, String>) -> String {
    let lines: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn what_was_typed_comes_back_tidied() {
        let typed = " env = prod \r\n\nteam=data=eng\ncritical";
        assert_eq!(write(&read(typed)), "env=prod\nteam=data=eng\ncritical=");
    }
}
