//! A metadata database that a tenant brings: its DSN, read at the edge.
//!
//! Control never connects to it. What is taken is one host with user, password and database by name; every option that is not on
//! the list is refused, since drivers have some that read files or run elsewhere. The password is sealed; nothing that is said
//! about a DSN repeats any of it but the names of options.

use secrecy::{ExposeSecret as _, SecretString};
use updraft_model::{
    CaCertificate, ClusterId, ClusterSpec, InvalidCertificate, MetadataDatabase, Phase, Power, SslMode,
};
use updraft_store::PgConnection;
use updraft_store::clusters::ClusterRecord;
use updraft_store::secrets::{self, random_token};
use url::{Host, Url};

use crate::{App, AppError};

/// The cluster's secret with `postgresql://user:password@host:port/database`, for its nodes.
pub const DSN: &str = "dsn";
/// The one with the certificates that its server is held to; empty: none.
pub const AUTHORITY: &str = "metadata_authority";
/// The one that the cluster is known by in it, whatever other keys it is given.
pub const OWNER: &str = "metadata_owner";

const FIELD: &str = "metadata_dsn";
const CA_FIELD: &str = "metadata_ca";
const LONGEST: usize = 4096;
/// Of what Postgres calls a name.
const LONGEST_NAME: usize = 63;
const MOST_CERTIFICATES: usize = 200;
const DEFAULT_PORT: u16 = 5432;
const SHAPE: &str = "write postgresql://user:password@host:5432/database?sslmode=require, with every character of user and \
                     password that is no letter or digit percent-encoded";
const UNVERIFIED: &str = "`sslmode=verify-ca` and `verify-full` need an authority: give its certificates in PEM \
                          (`metadata_ca`, `--metadata-ca-file`), or write `sslmode=require`";

/// What was asked for, valid.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) place: MetadataDatabase,
    dsn: SecretString,
    authority: SecretString,
}

/// What a request says of it; none: nothing.
pub(crate) fn asked(dsn: Option<&SecretString>, ca: Option<&str>) -> Result<Option<Brought>, AppError> {
    match (dsn, ca) {
        (Some(dsn), ca) => Brought::parse(dsn, ca).map(Some),
        (None, Some(_)) => {
            let why = "give `metadata_dsn` with it: the password is kept where nothing reads it back";
            Err(AppError::invalid(CA_FIELD, why))
        }
        (None, None) => Ok(None),
    }
}

/// Refuses another database for a cluster that runs, or that began with one that was made for it.
pub(crate) fn check_change(cluster: &ClusterRecord) -> Result<(), AppError> {
    if cluster.spec.metadata_database.is_none() {
        let why = "the cluster began with a database that was made for it, and stays with it: make another cluster with yours";
        return Err(AppError::invalid(FIELD, why));
    }
    match (cluster.power, &cluster.phase) {
        (Power::Stopped, Phase::Stopped) => Ok(()),
        _ => Err(AppError::ClusterRuns),
    }
}

/// What the audit log says of a change that only it could tell: the password is part of no spec.
pub(crate) fn audited(spec: &ClusterSpec, is_new: bool) -> serde_json::Value {
    let mut told = serde_json::json!(spec);
    if is_new && let Some(fields) = told.as_object_mut() {
        fields.insert("metadata_access".to_owned(), "given anew".into());
    }
    told
}

impl App {
    /// Seals the way to it.
    pub(crate) async fn keep_metadata(
        &self,
        connection: &mut PgConnection,
        cluster: ClusterId,
        brought: &Brought,
    ) -> Result<(), AppError> {
        let key = &self.config().master_key;
        for (name, secret) in [(DSN, &brought.dsn), (AUTHORITY, &brought.authority)] {
            secrets::put(connection, key, cluster, name, secret).await?;
        }
        secrets::ensure(connection, key, cluster, OWNER, &random_token()).await?;
        Ok(())
    }
}

// === impl Brought ===

impl Brought {
    fn parse(dsn: &SecretString, ca: Option<&str>) -> Result<Self, AppError> {
        let authority = ca.map(certificates).transpose();
        let authority = authority.map_err(|why| AppError::invalid(CA_FIELD, why))?;
        let url = address(dsn.expose_secret().trim())?;
        let host = host(&url)?;
        let sslmode = sslmode(&url, authority.is_some())?;
        let password = decoded(url.password().unwrap_or_default(), "password")?;
        let place = MetadataDatabase {
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
            database: database(&url)?,
            user: name(decoded(url.username(), "user")?)?,
            sslmode,
        };
        let dsn = format!(
            "postgresql://{}:{}@{}:{}/{}",
            encoded(&place.user),
            encoded(&password),
            place.host,
            place.port,
            place.database
        );
        Ok(Self {
            place,
            dsn: dsn.into(),
            authority: authority.unwrap_or_default().into(),
        })
    }
}

fn wrong(why: impl Into<String>) -> AppError {
    AppError::invalid(FIELD, why)
}

fn address(text: &str) -> Result<Url, AppError> {
    if text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(wrong(format!("that is no address of a database: {SHAPE}")));
    }
    if !text.starts_with("postgresql://") {
        return Err(wrong(format!("only `postgresql://` is taken: {SHAPE}")));
    }
    let url = Url::parse(text).map_err(|_| wrong(format!("that is no address of a database: {SHAPE}")))?;
    if url.fragment().is_some() {
        return Err(wrong(format!("a `#` has to be percent-encoded: {SHAPE}")));
    }
    if url.port() == Some(0) {
        return Err(wrong("there is no port 0"));
    }
    Ok(url)
}

fn host(url: &Url) -> Result<String, AppError> {
    let text = url.host_str().filter(|host| !host.is_empty());
    let text = text.ok_or_else(|| wrong(format!("it names no host (sockets are not taken): {SHAPE}")))?;
    if text.contains(',') {
        return Err(wrong("name one host: several are not taken"));
    }
    let host = Host::parse(text).map_err(|_| wrong("its host is neither a name nor an address"))?;
    Ok(host.to_string().trim_end_matches('.').to_owned())
}

fn database(url: &Url) -> Result<String, AppError> {
    let name = url.path().trim_start_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        let why = "name one database after the host: up to 63 letters, digits, `_`, `-` and `.`";
        return Err(wrong(why));
    }
    Ok(name.to_owned())
}

fn name(text: String) -> Result<String, AppError> {
    match text.len() {
        ..=LONGEST_NAME => Ok(text),
        _ => Err(wrong("its user has more than 63 characters")),
    }
}

/// The one option that is taken.
fn sslmode(url: &Url, with_authority: bool) -> Result<SslMode, AppError> {
    let mut said = None;
    for (option, value) in url.query_pairs() {
        if option != "sslmode" {
            return Err(wrong(refused_option(&option)));
        }
        let mode = SslMode::ALL.into_iter().find(|mode| mode.as_str() == value);
        let why = "`sslmode` is one of `disable`, `require`, `verify-ca`, `verify-full`: others fall back to plain text";
        let mode = mode.ok_or_else(|| wrong(why))?;
        if said.replace(mode).is_some() {
            return Err(wrong("say `sslmode` once"));
        }
    }
    match (said, with_authority) {
        (None, true) => Ok(SslMode::VerifyFull),
        (None, false) => Ok(SslMode::Require),
        (Some(mode), true) if !mode.verifies() => Err(AppError::invalid(
            CA_FIELD,
            format!(
                "`sslmode={mode}` looks at no certificate: write `sslmode=verify-full`, or leave the authority out"
            ),
        )),
        (Some(mode), false) if mode.verifies() => Err(wrong(UNVERIFIED)),
        (Some(mode), _) => Ok(mode),
    }
}

fn refused_option(option: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    match option {
        "sslrootcert" => "no file of a node is read: give the authority's certificates in PEM as `metadata_ca` (`--metadata-ca-file`)"
            .to_owned(),
        option if option.len() <= 40 && option.chars().all(plain) => {
            format!("the option `{option}` is not taken, only `sslmode` is: leave it out")
        }
        _ => "it has an option that is not taken, only `sslmode` is: leave it out".to_owned(),
    }
}

fn decoded(text: &str, what: &str) -> Result<String, AppError> {
    if text.is_empty() {
        return Err(wrong(format!("it names no {what}: {SHAPE}")));
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    let odd = || {
        wrong(format!(
            "its {what} is not percent-encoded UTF-8 without control characters: {SHAPE}"
        ))
    };
    let decoded = decoded.map_err(|_| odd())?;
    match decoded.chars().any(char::is_control) {
        true => Err(odd()),
        false => Ok(decoded.into_owned()),
    }
}

/// As libpq, SQLAlchemy and Airflow's own reading of its options leave it alone.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// One certificate after the other, each as it is read from a file.
///
/// # Errors
/// What is wrong with them, and what belongs there.
pub fn certificates(pem: &str) -> Result<String, String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    if pem.contains("PRIVATE KEY") {
        return Err("that holds a private key: give certificates alone".to_owned());
    }
    let blocks: Vec<_> = pem.split(BEGIN).skip(1).collect();
    if blocks.is_empty() || blocks.len() > MOST_CERTIFICATES {
        return Err(format!(
            "give 1 to {MOST_CERTIFICATES} certificates in PEM (RDS has a bundle for each region)"
        ));
    }
    let mut all = String::new();
    for block in blocks {
        let body = block.split_once(END).map_or(block, |(body, _)| body);
        let certificate: CaCertificate = body
            .parse()
            .map_err(|error: InvalidCertificate| error.to_string())?;
        all.push_str(&format!("{BEGIN}\n{}\n{END}\n", lines(certificate.as_str())));
    }
    Ok(all)
}

/// PEM has lines of 64 characters; some readers refuse longer ones.
fn lines(base64: &str) -> String {
    let bytes = base64.as_bytes().chunks(64);
    let lines: Vec<_> = bytes.map(String::from_utf8_lossy).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use updraft_model::SslMode;

    use super::{Brought, asked};
    use crate::AppError;

    const PEM: &str =
        "subject=x\n-----BEGIN CERTIFICATE-----\nMIIBszCC\nAVmgAw==\n-----END CERTIFICATE-----\n";

    fn parse(dsn: &str, ca: Option<&str>) -> Result<Brought, AppError> {
        Brought::parse(&dsn.to_owned().into(), ca)
    }

    fn refused(dsn: &str, ca: Option<&str>) -> (String, String) {
        match parse(dsn, ca) {
            Err(AppError::Invalid { field, why }) => (field, why),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_dsn_is_taken_apart_and_its_password_kept_aside() {
        let brought = parse(
            "postgresql://ada:p%40ss%2Fw@DB.example.com:6432/airflow?sslmode=require",
            None,
        )
        .unwrap();
        assert_eq!(
            brought.place.to_string(),
            "ada at db.example.com:6432/airflow (sslmode require)"
        );
        assert_eq!(
            brought.dsn.expose_secret(),
            "postgresql://ada:p%40ss%2Fw@db.example.com:6432/airflow"
        );
        assert!(!format!("{brought:?}").contains("p%40ss"));
    }

    #[test]
    fn what_is_left_out_has_the_safe_meaning() {
        let plain = parse("postgresql://ada:x@[2001:db8::1]/airflow", None).unwrap();
        assert_eq!(
            (plain.place.host.as_str(), plain.place.port),
            ("[2001:db8::1]", 5432)
        );
        assert_eq!(plain.place.sslmode, SslMode::Require);
        let verified = parse("postgresql://ada:x@db/airflow", Some(PEM)).unwrap();
        assert_eq!(verified.place.sslmode, SslMode::VerifyFull);
        assert_eq!(
            verified.authority.expose_secret(),
            "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAw==\n-----END CERTIFICATE-----\n"
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_repeated() {
        for (dsn, named) in [
            ("", "postgresql://"),
            ("mysql://ada:hunter22@db/airflow", "postgresql://"),
            ("postgres://ada:hunter22@db/airflow", "postgresql://"),
            ("postgresql+psycopg2://ada:hunter22@db/airflow", "postgresql://"),
            ("host=db password=hunter22", "no address"),
            ("postgresql://ada:hunter22@/airflow", "host"),
            ("postgresql:///airflow", "names no host"),
            ("postgresql://ada:hunter22@%2Fvar%2Frun/airflow", "host"),
            ("postgresql://ada:hunter22@one,two/airflow", "one host"),
            ("postgresql://ada:hunter22@db:0/airflow", "port 0"),
            ("postgresql://ada:hunter22@db:99999/airflow", "no address"),
            ("postgresql://ada:hunter22@db", "database"),
            ("postgresql://ada:hunter22@db/a/b", "database"),
            ("postgresql://ada:hunter22@db/a%20b", "database"),
            ("postgresql://:hunter22@db/airflow", "user"),
            ("postgresql://ada@db/airflow", "password"),
            ("postgresql://ada:@db/airflow", "password"),
            ("postgresql://ada:hunter22%00@db/airflow", "password"),
            ("postgresql://ada:hunter22%ff@db/airflow", "password"),
            ("postgresql://ada:hunter22@db/airflow#x", "percent-encoded"),
            (
                "postgresql://ada:hunter22@db/airflow?sslmode=prefer",
                "`sslmode` is one of",
            ),
            (
                "postgresql://ada:hunter22@db/airflow?sslmode=require&sslmode=disable",
                "once",
            ),
            (
                "postgresql://ada:hunter22@db/airflow?sslmode=verify-full",
                "--metadata-ca-file",
            ),
            (
                "postgresql://ada:hunter22@db/airflow?sslrootcert=/etc/passwd",
                "--metadata-ca-file",
            ),
            (
                "postgresql://ada:hunter22@db/airflow?options=-csearch_path%3Dx",
                "`options`",
            ),
            (
                "postgresql://ada:hunter22@db/airflow?passfile=/etc/shadow",
                "`passfile`",
            ),
            ("postgresql://ada:hunter22@db/airflow?service=x", "`service`"),
            ("postgresql://ada:hunter22@db/airflow?host=/tmp", "`host`"),
            ("postgresql://ada:hunter22@db/airflow?hunter22=1", "an option"),
        ] {
            let (field, why) = refused(dsn, None);
            assert_eq!(field, "metadata_dsn", "{dsn}");
            assert!(why.contains(named), "{dsn}: {why}");
            assert!(!why.contains("hunter22"), "{dsn}: {why}");
        }
    }

    #[test]
    fn an_authority_is_certificates_and_is_used() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----";
        for (dsn, pem) in [
            ("postgresql://a:b@db/c", key),
            ("postgresql://a:b@db/c", "no certificate"),
            (
                "postgresql://a:b@db/c",
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
            ),
            ("postgresql://a:b@db/c?sslmode=require", PEM),
            ("postgresql://a:b@db/c?sslmode=disable", PEM),
        ] {
            assert_eq!(refused(dsn, Some(pem)).0, "metadata_ca", "{dsn} {pem}");
        }
        assert!(parse("postgresql://a:b@db/c?sslmode=verify-ca", Some(&PEM.repeat(3))).is_ok());
        assert!(asked(None, Some(PEM)).is_err() && asked(None, None).unwrap().is_none());
    }
}
