//! A PostgreSQL server of one test's own, as RDS is one: it takes nobody without TLS, its certificate is of an authority that no
//! machine knows, it writes statements that change roles to its log, and who administers there is no superuser.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use updraft_testing::free_port;

/// What its certificate is for, and what it is not.
pub(crate) const NAME: &str = "localhost";
pub(crate) const OTHER_NAME: &str = "127.0.0.1";
const PASSWORD: &str = "of-the-superuser";
/// PostgreSQL does not run as root.
const USER: &str = "nobody";

pub(crate) struct Server {
    directory: TempDir,
    port: u16,
    process: Child,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("updraft-tls-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        certify(directory.path());
        let port = free_port();
        initialise(directory.path());
        let process = serve(directory.path(), port);
        let mut server = Self {
            directory,
            port,
            process,
        };
        server.answers().await;
        server
    }

    /// The certificates of its authority, PEM.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// Those of another of the same name.
    pub(crate) fn other_authority(&self) -> PathBuf {
        self.directory.path().join("other.pem")
    }

    /// Of the superuser, at that name and with these options.
    pub(crate) fn url(&self, name: &str, options: &str) -> SecretString {
        let port = self.port;
        format!("postgres://root:{PASSWORD}@{name}:{port}/postgres?{options}").into()
    }

    /// Held to its name and authority.
    pub(crate) fn verified(&self) -> String {
        format!("sslmode=verify-full&sslrootcert={}", self.authority().display())
    }

    pub(crate) fn address(&self) -> String {
        format!("{NAME}:{}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    async fn answers(&mut self) {
        let url = self.url(NAME, &self.verified());
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let asked = PgConnection::connect(secrecy::ExposeSecret::expose_secret(&url)).await;
            let Err(error) = asked else {
                return;
            };
            let ended = self.process.try_wait().unwrap().is_some();
            assert!(!ended && Instant::now() < deadline, "{error}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The first process alone is asked: at once (SIGQUIT), since nothing of it is needed any more.
        let pid = fs::read_to_string(self.directory.path().join("data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            let _ = Command::new("kill").args(["-QUIT", pid]).status();
        }
        let _ = self.process.wait();
    }
}

fn certify(directory: &Path) {
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), params, key)
    };
    let (certificate, params, key) = authority();
    let (other, ..) = authority();
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &Issuer::new(params, key)).unwrap();
    for (name, content) in [
        ("authority.pem", certificate.pem()),
        ("other.pem", other.pem()),
        ("server.pem", own.pem()),
        ("server.key", own_key.serialize_pem()),
        ("password", PASSWORD.to_owned()),
    ] {
        fs::write(directory.join(name), content).unwrap();
    }
    run(Command::new("chmod").arg("600").arg(directory.join("server.key")));
}

fn initialise(directory: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", USER]).arg(directory));
    }
    let data = directory.join("data");
    run(as_user("initdb")
        .arg("-D")
        .arg(&data)
        .args([
            "-U",
            "root",
            "--auth=scram-sha-256",
            "--no-sync",
            "-E",
            "UTF8",
            "--pwfile",
        ])
        .arg(directory.join("password")));
    fs::write(
        data.join("pg_hba.conf"),
        "hostssl all all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
}

fn serve(directory: &Path, port: u16) -> Child {
    let log = fs::File::create(directory.join("log")).unwrap();
    let setting = |name: &str, file: &str| format!("{name}={}", directory.join(file).display());
    let settings = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        "fsync=off".into(),
        "log_statement=ddl".into(),
        "ssl=on".into(),
        setting("ssl_cert_file", "server.pem"),
        setting("ssl_key_file", "server.key"),
    ];
    let mut command = as_user("postgres");
    command.arg("-D").arg(directory.join("data"));
    for setting in settings {
        command.args(["-c", &setting]);
    }
    command.stderr(log).spawn().unwrap()
}

/// Debian's own: the build that comes along speaks no TLS.
fn as_user(program: &str) -> Command {
    let found = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = found
        .map(|version| version.path().join("bin").join(program))
        .collect();
    found.retain(|path| path.exists());
    found.sort();
    let program = found.pop().unwrap_or_else(|| {
        panic!("no {program} below /usr/lib/postgresql: install PostgreSQL (on Debian: apt-get install postgresql)")
    });
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={USER}"), "--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir("/");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
