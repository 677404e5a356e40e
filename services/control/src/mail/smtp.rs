//! The mail server, as an operator names it, and mail over SMTP.
//!
//! `smtps://user@host:465` speaks TLS from the first byte; `smtp://user@host:587` must offer STARTTLS before anything of
//! ours is sent, and only on a loopback address may it do without. The server's certificate has to be good for the name,
//! by the authorities that the machine trusts. A password comes from a file.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use updraft_app::Letter;
use url::{Host, Url};

use super::letter::written;
use super::{MailError, Mailer};

/// For one mail, from the look-up of the name to the last answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where mail is handed over: `smtps://mailer@mail.example.com:465`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SmtpUrl {
    host: String,
    port: u16,
    user: Option<String>,
    protection: Protection,
}

/// Whom mail is from: `updraft@example.com` or `Updraft <updraft@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailFrom(Mailbox);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    /// TLS from the first byte.
    Tls,
    StartTls,
    /// On this machine alone.
    None,
}

#[derive(Debug, Error)]
pub enum MailSettingsError {
    #[error(
        "`{0}` is no mail server: write it as smtps://user@host:465 or smtp://user@host:587, without a path"
    )]
    Url(String),
    #[error("a password must not be in the mail server's address, where others see it: put it into a file")]
    PasswordInUrl,
    #[error("`{0}` is no sender: write it as updraft@example.com or Updraft <updraft@example.com>")]
    From(String),
    #[error(
        "the mail server's address names a user: give the file with the password too (`--smtp-password-file`)"
    )]
    NoPassword,
    #[error(
        "a password for the mail server was given, but no user: write the address as smtps://user@host:465"
    )]
    NoUser,
    #[error("TLS to the mail server cannot be set up")]
    Tls(#[source] SmtpError),
}

/// Mail over SMTP, a connection for each.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

// === impl SmtpUrl ===

impl FromStr for SmtpUrl {
    type Err = MailSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What may be a password is not repeated.
        let shown = || MailSettingsError::Url(text.rsplit('@').next().unwrap_or_default().to_owned());
        let url = Url::parse(text).map_err(|_| shown())?;
        if url.password().is_some() {
            return Err(MailSettingsError::PasswordInUrl);
        }
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| bare && !host.is_empty());
        let host = Host::parse(host.ok_or_else(shown)?).map_err(|_| shown())?;
        let (protection, port) = match url.scheme() {
            "smtps" => (Protection::Tls, 465),
            "smtp" if is_loopback(&host) => (Protection::None, 25),
            "smtp" => (Protection::StartTls, 587),
            _ => return Err(shown()),
        };
        let user = Some(url.username()).filter(|user| !user.is_empty());
        let user = user.map(|user| percent_encoding::percent_decode_str(user).decode_utf8());
        Ok(Self {
            host: host.to_string(),
            port: url.port().unwrap_or(port),
            user: user.transpose().map_err(|_| shown())?.map(String::from),
            protection,
        })
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protection {
            Protection::Tls => "smtps",
            Protection::StartTls | Protection::None => "smtp",
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            let encoded = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
            write!(f, "{encoded}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for SmtpUrl {
    type Error = MailSettingsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SmtpUrl> for String {
    fn from(url: SmtpUrl) -> Self {
        url.to_string()
    }
}

// === impl MailFrom ===

impl FromStr for MailFrom {
    type Err = MailSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mailbox = text.parse();
        mailbox
            .map(Self)
            .map_err(|_| MailSettingsError::From(text.to_owned()))
    }
}

impl TryFrom<String> for MailFrom {
    type Error = MailSettingsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MailFrom> for String {
    fn from(from: MailFrom) -> Self {
        from.0.to_string()
    }
}

// === impl Smtp ===

impl Smtp {
    /// `hello` is the name that we introduce ourselves by.
    ///
    /// # Errors
    /// When user and password do not go together, or the machine's certificates cannot be read.
    pub fn new(
        url: &SmtpUrl,
        password: Option<&SecretString>,
        from: MailFrom,
        hello: &str,
    ) -> Result<Self, MailSettingsError> {
        let tls = |url: &SmtpUrl| TlsParameters::new(url.host.clone()).map_err(MailSettingsError::Tls);
        let tls = match url.protection {
            Protection::Tls => Tls::Wrapper(tls(url)?),
            Protection::StartTls => Tls::Required(tls(url)?),
            Protection::None => Tls::None,
        };
        let hello = match hello.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
            Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
            Err(_) => ClientId::Domain(hello.to_owned()),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&url.host)
            .port(url.port)
            .tls(tls)
            .hello_name(hello)
            .timeout(Some(PATIENCE / 2));
        builder = match (&url.user, password) {
            (Some(user), Some(password)) => builder.credentials(Credentials::new(
                user.clone(),
                password.expose_secret().to_owned(),
            )),
            (Some(_), None) => return Err(MailSettingsError::NoPassword),
            (None, Some(_)) => return Err(MailSettingsError::NoUser),
            (None, None) => builder,
        };
        Ok(Self {
            transport: builder.build(),
            from: from.0,
        })
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let message = written(letter, &self.from)?;
        let sent = tokio::time::timeout(PATIENCE, self.transport.send(message)).await;
        match sent.map_err(|_| MailError::Slow(PATIENCE))? {
            Ok(_) => Ok(()),
            Err(error) if is_final(&error) => Err(MailError::Refused(Box::new(error))),
            Err(error) => Err(MailError::Away(Box::new(error))),
        }
    }
}

/// RFC 5321, section 4.2.1: 5yz is for good. Not so what is said to our own sign-in (RFC 4954, section 6), which an
/// operator will put right.
fn is_final(error: &SmtpError) -> bool {
    let signing_in = |code: u16| matches!(code, 530 | 534 | 535 | 538);
    error.is_permanent() && !error.status().is_some_and(|code| signing_in(code.into()))
}

#[cfg(test)]
mod tests {
    use super::{MailFrom, MailSettingsError, Protection, Smtp, SmtpUrl};

    fn url(text: &str) -> Result<SmtpUrl, MailSettingsError> {
        text.parse()
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for (text, port, protection) in [
            ("smtps://mail.example.com", 465, Protection::Tls),
            ("smtps://127.0.0.1:2465", 2465, Protection::Tls),
            ("smtp://mail.example.com", 587, Protection::StartTls),
            ("smtp://localhost.example.com:25", 25, Protection::StartTls),
            ("smtp://10.0.0.1:25", 25, Protection::StartTls),
            ("smtp://127.0.0.1:2525", 2525, Protection::None),
            ("smtp://[::1]:2525", 2525, Protection::None),
            ("smtp://localhost", 25, Protection::None),
        ] {
            let url = url(text).unwrap();
            assert_eq!((url.port, url.protection), (port, protection), "{text}");
        }
    }

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in [
            "smtps://ada%40example%2Ecom@mail.example.com:465",
            "smtp://[::1]:25",
        ] {
            let read = url(text).unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(url(&read.to_string()).unwrap(), read);
        }
        let from: MailFrom = "Updraft <updraft@example.com>".parse().unwrap();
        assert_eq!(
            String::from(from)
                .parse::<MailFrom>()
                .unwrap()
                .0
                .email
                .to_string(),
            "updraft@example.com"
        );
    }

    #[test]
    fn what_is_no_mail_server_is_refused_and_no_password_repeated() {
        for bad in [
            "mail.example.com",
            "https://mail.example.com",
            "smtp://",
            "smtp:///x",
            "smtps://mail.example.com/path",
            "smtps://mail.example.com?tls=none",
        ] {
            assert!(matches!(url(bad), Err(MailSettingsError::Url(_))), "{bad}");
        }
        for bad in [
            "smtps://ada:secret@mail.example.com",
            "ftp://ada:secret@mail.example.com",
        ] {
            let refused = url(bad).unwrap_err();
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
        for bad in ["", "updraft", "a@b.c\r\nBcc: d@e.f", "a@b.c, d@e.f"] {
            assert!(bad.parse::<MailFrom>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn user_and_password_go_together() {
        let smtp = |text: &str, password: Option<&str>| {
            let password = password.map(|password| password.to_owned().into());
            let from = "updraft@example.com".parse().unwrap();
            Smtp::new(&url(text).unwrap(), password.as_ref(), from, "localhost")
        };
        assert!(smtp("smtps://ada@mail.example.com", Some("x")).is_ok());
        assert!(smtp("smtp://127.0.0.1:25", None).is_ok());
        assert!(matches!(
            smtp("smtps://ada@mail.example.com", None),
            Err(MailSettingsError::NoPassword)
        ));
        assert!(matches!(
            smtp("smtps://mail.example.com", Some("x")),
            Err(MailSettingsError::NoUser)
        ));
    }
}
