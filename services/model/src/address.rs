//! Addresses that tenants write: of buckets, repositories and servers. What they say is judged here, not where they lead.

use url::Url;

const LONGEST: usize = 500;

/// An https or ssh address without anything that git would take for more than an address.
///
/// # Errors
/// What to do.
pub fn git_address(asked: &str) -> Result<String, &'static str> {
    let why = "use `https://host/path` or `ssh://git@host/path`: no other scheme is fetched from";
    let written = scp_like(asked).unwrap_or_else(|| asked.to_owned());
    let plain = written.len() <= LONGEST && !written.chars().any(|c| c.is_control() || c.is_whitespace());
    let url = Url::parse(&written).ok().filter(|_| plain);
    let Some(url) = url.filter(|url| matches!(url.scheme(), "https" | "ssh")) else {
        return Err(why);
    };
    let secret = url.password().is_some() || (url.scheme() == "https" && !url.username().is_empty());
    let why_secret =
        "leave user and password out: make them a credential with `updraft credential create`, and name it";
    if secret {
        return Err(why_secret);
    }
    let host = url.host_str().unwrap_or_default();
    let names = !host.is_empty() && !host.starts_with('-') && is_user(url.username());
    let bare = url.query().is_none() && url.fragment().is_none() && url.path().len() > 1;
    if !names || !bare || url.path().starts_with("/-") {
        return Err(why);
    }
    let mut url = url;
    if url.scheme() == "ssh" && url.username().is_empty() {
        url.set_username("git").map_err(|()| why)?;
    }
    Ok(url.to_string())
}

/// `git@host:path`, as git servers show it.
fn scp_like(text: &str) -> Option<String> {
    let (who, path) = text.split_once(':').filter(|_| !text.contains("://"))?;
    let (user, host) = who.split_once('@')?;
    (!path.starts_with('/') && !host.is_empty()).then(|| format!("ssh://{user}@{host}/{path}"))
}

fn is_user(user: &str) -> bool {
    !user.starts_with('-')
        && user
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// What `git check-ref-format` lets through, and commits.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_graphic() && !r#"~^:?*[\"'`$;|&<>(){}!#%"#.contains(c);
    (1..=200).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with(['.', '/'])
        && !text.contains("..")
        && text.chars().all(fine)
        && text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// Plain steps downwards.
#[must_use]
pub fn is_relative(path: &str) -> bool {
    path.len() <= LONGEST
        && !path.starts_with('-')
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part != ".git")
}

#[must_use]
pub fn is_bucket(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.chars().all(fine)
        && ends(name.chars().next())
        && ends(name.chars().last())
        && !name.contains("..")
}

#[must_use]
pub fn is_region(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&name.len()) && name.chars().all(fine) && !name.starts_with('-')
}

/// The host of an address, with its port if that is not the usual one.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// An https address and nothing more.
#[must_use]
pub fn is_https(address: &str) -> bool {
    let plain = address.len() <= LONGEST && !address.chars().any(|c| c.is_control() || c.is_whitespace());
    let url = Url::parse(address).ok().filter(|_| plain);
    url.is_some_and(|url| {
        url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}
