//! Addresses that a tenant may name and nobody may be led to.

/// An address inside, in whichever disguise.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    /// As a tenant writes it.
    pub url: &'static str,
    /// Where its host leads, if that is a name.
    pub leads: &'static [&'static str],
    pub refused: &'static str,
}

#[must_use]
pub fn rows() -> Vec<Row> {
    [numbers(), names(), ways()].concat()
}

/// Every way of writing a number.
fn numbers() -> Vec<Row> {
    vec![
        row("loopback", "https://127.0.0.1"),
        row("loopback, short", "https://127.1"),
        row("loopback as one number", "https://2130706433"),
        row("loopback in hexadecimal", "https://0x7f000001"),
        row("loopback, half in hexadecimal", "https://0x7f.1"),
        row("loopback in octal", "https://0177.0.0.1"),
        row("loopback as one octal number", "https://017700000001"),
        row("loopback with a dot more", "https://127.0.0.1."),
        row("loopback in wide digits", "https://１２７.0.0.1"),
        row("this host", "https://0"),
        row("loopback of IPv6", "https://[::1]"),
        row("loopback of IPv6, in full", "https://[0:0:0:0:0:0:0:1]"),
        row("this host in IPv6", "https://[::]"),
        row("loopback mapped into IPv6", "https://[::ffff:127.0.0.1]"),
        row("loopback mapped, in hexadecimal", "https://[::ffff:7f00:1]"),
        row("loopback as an old IPv6", "https://[::127.0.0.1]"),
        row("loopback behind NAT64", "https://[64:ff9b::7f00:1]"),
        row("loopback behind 6to4", "https://[2002:7f00:1::]"),
        row("link-local", "https://[fe80::1]"),
        row("metadata service", "https://169.254.169.254"),
        row("metadata service in hexadecimal", "https://0xa9fea9fe"),
        row("metadata service as one number", "https://2852039166"),
        row("metadata service of IPv6", "https://[fd00:ec2::254]"),
        row("private", "https://10.0.0.1"),
        row("private, another", "https://192.168.0.1"),
        row("a carrier's", "https://100.64.0.1"),
    ]
}

/// Names that lead inside.
fn names() -> Vec<Row> {
    vec![
        name("localhost", "https://localhost", &["127.0.0.1"]),
        name("localhost in capitals", "https://LOCALHOST", &["127.0.0.1"]),
        name("localhost with a dot more", "https://localhost.", &["127.0.0.1"]),
        name("below localhost", "https://a.localhost", &["::1"]),
        name("a name of loopback", "https://localtest.example", &["127.0.0.1"]),
        name(
            "a name of the metadata service",
            "https://metadata.example",
            &["169.254.169.254"],
        ),
        name(
            "one address of several is private",
            "https://some.example",
            &["1.1.1.1", "10.0.0.1"],
        ),
        name(
            "the first address is private",
            "https://first.example",
            &["fd00::1", "1.1.1.1"],
        ),
        name(
            "one address of several is the metadata service",
            "https://mixed.example",
            &["1.1.1.1", "169.254.169.254"],
        ),
    ]
}

/// Ports and schemes of what is inside.
fn ways() -> Vec<Row> {
    vec![
        name("without TLS", "http://public.example", &["1.1.1.1"]),
        name(
            "a port of somebody's",
            "https://public.example:7702",
            &["1.1.1.1"],
        ),
        name("ssh", "https://public.example:22", &["1.1.1.1"]),
        row("our own port", "http://127.0.0.1:7702"),
        nowhere("a file", "file:///etc/passwd"),
        nowhere("a socket", "unix:///run/docker.sock"),
        name("another protocol", "ftp://public.example", &["1.1.1.1"]),
        name(
            "with a password",
            "https://ada:secret@public.example",
            &["1.1.1.1"],
        ),
    ]
}

/// Where a provider that may be reached sends us on to.
#[must_use]
pub fn redirects() -> Vec<Row> {
    vec![
        row("redirect to private", "https://10.0.0.1/"),
        row(
            "redirect to the metadata service",
            "https://169.254.169.254/latest/meta-data/",
        ),
        row(
            "redirect to the metadata service, without TLS",
            "http://169.254.169.254/latest/meta-data/",
        ),
        row("redirect to loopback", "https://127.0.0.1/"),
        row("redirect to a port of our own", "http://127.0.0.1:7702/"),
        row("redirect to loopback in disguise", "https://[::ffff:127.0.0.1]/"),
        row("redirect to a file", "file:///etc/passwd"),
        row("redirect to ssh", "https://1.1.1.1:22/"),
        row("redirect without a scheme", "//169.254.169.254:80/"),
        name(
            "redirect to a name of loopback",
            "https://localtest.example/",
            &["127.0.0.1"],
        ),
    ]
}

fn row(name: &'static str, url: &'static str) -> Row {
    self::name(name, url, &[])
}

fn name(name: &'static str, url: &'static str, leads: &'static [&'static str]) -> Row {
    Row {
        name,
        url,
        leads,
        refused: "oidc.forbidden_address",
    }
}

/// What is no address at all, and refused before it is asked where it leads.
fn nowhere(name: &'static str, url: &'static str) -> Row {
    Row {
        refused: "oidc.issuer_malformed",
        ..row(name, url)
    }
}
