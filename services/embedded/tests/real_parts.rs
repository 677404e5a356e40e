//! The real programs, installed from the real index and run in a scratch directory. As root they run as system users.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use updraft_embedded::{
    Account, Accounts, Credentials, DataDir, EnvironmentSpec, Error, Installer, Layout, PackageFile, Parts,
    Postgres, PostgresSettings, Progress, S3, S3Ports, Silent, Status, install_environment,
    install_installer, install_parts, stop_leftovers,
};
use updraft_testing::{free_port, free_ports};

const USER: &str = "updraft-test";

/// A data directory with the parts installed.
struct House {
    data: DataDir,
    installer: Installer,
    parts: Parts,
    account: Account,
    _scratch: tempfile::TempDir,
}

impl House {
    async fn build() -> Self {
        let (scratch, data) = scratch();
        let installer = install_installer(data.layout(), &Printed).await.unwrap();
        let parts = install_parts(data.layout(), &installer, &Printed).await.unwrap();
        let account = Accounts::detect().ensure_user(USER).await.unwrap();
        Self {
            data,
            installer,
            parts,
            account,
            _scratch: scratch,
        }
    }

    fn layout(&self) -> &Layout {
        self.data.layout()
    }

    async fn postgres(&self, settings: &PostgresSettings) -> Result<Postgres, Error> {
        Postgres::start(self.layout(), &self.parts, &self.account, settings, &Printed).await
    }

    async fn s3(&self, ports: S3Ports) -> Result<S3, Error> {
        S3::start(self.layout(), &self.parts, &self.account, ports, &Printed).await
    }

    /// Runs one statement as psql would.
    fn query(&self, server: &Postgres, sql: &str) -> Result<String, String> {
        let output = Command::new(self.parts.postgres_bin.join("psql"))
            .args([
                "-X",
                "-A",
                "-t",
                "-d",
                server.superuser_dsn().expose_secret(),
                "-c",
                sql,
            ])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let layout = self.layout().clone();
        let stopping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(stop_leftovers(&layout)).map(|_| ())
        });
        let _best_effort = stopping.join();
    }
}

/// Prints how long each step took: shown by `--nocapture`.
struct Printed;

impl Progress for Printed {
    fn started(&self, _step: &str) {}
    fn advanced(&self, _step: &str, _fraction: Option<f32>, _message: &str) {}
    fn finished(&self, step: &str, took: Duration, already_done: bool) {
        println!(
            "{step}: {:.2} s{}",
            took.as_secs_f32(),
            if already_done { " (was there)" } else { "" }
        );
    }
}

fn scratch() -> (tempfile::TempDir, DataDir) {
    let scratch = tempfile::Builder::new()
        .prefix("updraft-test-")
        .tempdir()
        .unwrap();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = DataDir::open(&scratch.path().join("data")).unwrap();
    (scratch, data)
}

fn settings(name: &str) -> PostgresSettings {
    PostgresSettings {
        name: name.into(),
        port: free_port(),
        max_connections: 50,
        shared_buffers_mib: 16,
    }
}

fn pid_of(status: &Status) -> i32 {
    match status {
        Status::Running { pid, .. } => *pid,
        other => panic!("not running: {other:?}"),
    }
}

fn kill_nine(pid: i32) {
    assert!(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn owner_of(pid: i32) -> u32 {
    std::fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

/// The status curl gets for a signed request, or 000.
fn s3_request(
    s3: &S3,
    credentials: &Credentials,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> (String, String) {
    let mut curl = Command::new("curl");
    curl.args([
        "-s",
        "-X",
        method,
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "-w",
        "\n%{http_code}",
        "--path-as-is",
    ]);
    curl.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
    let user = format!(
        "{}:{}",
        credentials.access_key,
        credentials.secret_key.expose_secret()
    );
    curl.args(["--user", &user, &format!("{}{path}", s3.endpoint())]);
    if method == "HEAD" {
        curl.arg("--head");
    }
    if let Some(body) = body {
        curl.args(["--data-binary", body]);
    }
    let output = curl.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

/// What one who has no certificate hears on a port: TLS, plain, with a self-made certificate.
fn stranger_hears(port: u16) -> Vec<String> {
    let ask = |args: &[&str]| {
        let output = Command::new("curl")
            .args(["-sk", "-m", "3", "-o", "-"])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    vec![
        ask(&[&format!("https://127.0.0.1:{port}/dir/assign")]),
        ask(&[&format!("http://127.0.0.1:{port}/dir/assign")]),
        ask(&[&format!("https://127.0.0.1:{port}/buckets/")]),
        ask(&[
            "--http2-prior-knowledge",
            &format!("http://127.0.0.1:{port}/filer_pb.SeaweedFiler/ListEntries"),
        ]),
    ]
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn all_readable(path: &Path) -> bool {
    let mut stack: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = stack.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode();
        if metadata.is_dir() {
            assert_eq!(mode & 0o005, 0o005, "{}", path.display());
            stack.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if metadata.is_file() && path.file_name().is_some_and(|name| name != ".lock") {
            assert_eq!(mode & 0o004, 0o004, "{}", path.display());
        }
    }
    true
}

#[tokio::test]
async fn parts_are_installed_once_and_a_half_finished_install_is_done_again() {
    let house = House::build().await;
    for program in ["initdb", "postgres", "psql", "pg_dump", "pg_restore"] {
        let version = Command::new(house.parts.postgres_bin.join(program))
            .arg("--version")
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&version.stdout).contains("18."),
            "{program}"
        );
    }
    assert!(
        Command::new(&house.parts.valkey_server)
            .arg("--version")
            .status()
            .unwrap()
            .success()
    );
    assert!(all_readable(&house.layout().parts()));

    let home = house.parts.weed.parent().unwrap().parent().unwrap().to_owned();
    let half = home.with_extension("new");
    std::fs::rename(&home, &half).unwrap();
    std::fs::remove_file(half.join("bin/weed")).unwrap();
    let again = install_parts(house.layout(), &house.installer, &Printed)
        .await
        .unwrap();
    assert_eq!(again, house.parts);
    assert!(again.weed.exists());
    assert!(!half.exists());

    let there = entries(&house.layout().parts());
    install_installer(house.layout(), &Printed).await.unwrap();
    install_parts(house.layout(), &house.installer, &Printed)
        .await
        .unwrap();
    assert_eq!(entries(&house.layout().parts()), there, "nothing is made again");
}

/// What lies there: what is made again is another file.
fn entries(directory: &Path) -> BTreeMap<OsString, u64> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name(), entry.metadata().unwrap().ino()))
        .collect()
}

#[tokio::test]
async fn postgres_answers_only_to_its_password_and_on_loopback() {
    let house = House::build().await;
    let server = house.postgres(&settings("control")).await.unwrap();
    assert_eq!(house.query(&server, "select 1").unwrap(), "1");
    assert!(
        house
            .query(&server, "show server_version")
            .unwrap()
            .starts_with("18.")
    );
    assert_eq!(
        house.query(&server, "show listen_addresses").unwrap(),
        "127.0.0.1"
    );
    assert_eq!(house.query(&server, "show fsync").unwrap(), "on");
    let wrong = format!("postgresql://postgres:guess@127.0.0.1:{}/postgres", server.port());
    let refused = Command::new(house.parts.postgres_bin.join("psql"))
        .args(["-d", &wrong, "-c", "select 1"])
        .output();
    assert!(String::from_utf8_lossy(&refused.unwrap().stderr).contains("password authentication failed"));
    let pid = pid_of(&server.status().borrow());
    assert_eq!(owner_of(pid), house.account.uid);
    let command_line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let dsn = server.superuser_dsn();
    let password = dsn.expose_secret().split([':', '@']).nth(2).unwrap();
    assert!(!command_line.contains(password));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn postgres_killed_is_restarted_and_loses_nothing() {
    let house = House::build().await;
    let server = house.postgres(&settings("metadata")).await.unwrap();
    house
        .query(&server, "create table kept as select 42 as answer")
        .unwrap();
    kill_nine(pid_of(&server.status().borrow()));
    let status = server.status();
    eventually("restarted", async || {
        matches!(&*status.borrow(), Status::Running { restarts: 1.., .. })
    })
    .await;
    assert_eq!(house.query(&server, "select answer from kept").unwrap(), "42");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn postgres_left_running_is_adopted_and_a_changed_one_is_started_anew() {
    let house = House::build().await;
    let mut settings = settings("metadata");
    let first = house.postgres(&settings).await.unwrap();
    let pid = pid_of(&first.status().borrow());
    drop(first);
    let second = house.postgres(&settings).await.unwrap();
    assert_eq!(pid_of(&second.status().borrow()), pid);
    drop(second);
    settings.max_connections += 1;
    let third = house.postgres(&settings).await.unwrap();
    assert_ne!(pid_of(&third.status().borrow()), pid);
    assert_eq!(
        house.query(&third, "show max_connections").unwrap(),
        settings.max_connections.to_string()
    );
    drop(third);
    assert_eq!(
        stop_leftovers(house.layout()).await.unwrap(),
        ["postgres-metadata"]
    );
    assert!(stop_leftovers(house.layout()).await.unwrap().is_empty());
    house.postgres(&settings).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn service_that_cannot_start_says_why_and_where_its_log_is() {
    let house = House::build().await;
    let settings = settings("control");
    house.postgres(&settings).await.unwrap().stop().await.unwrap();
    let configuration = house.layout().postgres("control").join("postgresql.auto.conf");
    std::fs::write(&configuration, "shared_preload_libraries = 'nowhere'\n").unwrap();
    let told = house.postgres(&settings).await.unwrap_err();
    assert!(matches!(told, Error::ServiceDied { .. }), "{told}");
    assert!(
        told.to_string().contains("could not access file \"nowhere\""),
        "{told}"
    );
    assert!(told.to_string().contains("logs/postgres-control.log"), "{told}");
}

#[tokio::test]
async fn taken_port_is_told_with_who_has_it() {
    let house = House::build().await;
    let settings = settings("control");
    let _squatter = TcpListener::bind(("127.0.0.1", settings.port)).unwrap();
    let told = house.postgres(&settings).await.unwrap_err().to_string();
    assert!(
        told.contains(&format!("process {}", std::process::id())),
        "{told}"
    );
}

#[tokio::test]
async fn cluster_reaches_its_own_bucket_and_no_other() {
    let house = House::build().await;
    let s3 = house
        .s3(S3Ports::starting_at(free_ports::<8>()[0]))
        .await
        .unwrap();
    let (mine, other) = (Credentials::generate(), Credentials::generate());
    for (name, credentials) in [("cluster-1", &mine), ("cluster-2", &other)] {
        s3.ensure_bucket(name).await.unwrap();
        s3.ensure_bucket(name).await.unwrap();
        let begun = Instant::now();
        s3.ensure_identity(name, credentials, name).await.unwrap();
        println!("identity in force after {:?}", begun.elapsed());
        let (status, answer) = s3_request(&s3, credentials, "PUT", &format!("/{name}/dags/a.py"), Some(name));
        assert_eq!(status, "200", "{answer}");
    }
    assert_eq!(
        s3_request(&s3, &mine, "GET", "/cluster-1/dags/a.py", None),
        ("200".into(), "cluster-1".into())
    );
    for (method, path, body) in [
        ("GET", "/cluster-2/dags/a.py", None),
        ("PUT", "/cluster-2/dags/a.py", Some("mine now")),
        ("DELETE", "/cluster-2/dags/a.py", None),
        ("GET", "/cluster-2?list-type=2", None),
        ("DELETE", "/cluster-2", None),
        ("DELETE", "/cluster-1", None),
        ("PUT", "/cluster-3", None),
        ("PUT", "/cluster-1?policy", Some("{}")),
    ] {
        let (status, answer) = s3_request(&s3, &mine, method, path, body);
        assert_eq!(status, "403", "{method} {path}: {answer}");
    }
    for path in [
        "/cluster-1/../cluster-2/dags/a.py",
        "/cluster-1/%2e%2e/cluster-2/dags/a.py",
    ] {
        let (status, answer) = s3_request(&s3, &mine, "GET", path, None);
        assert!(
            status != "200" && !answer.contains("cluster-2\n"),
            "{path}: {status} {answer}"
        );
    }
    assert_eq!(
        s3_request(&s3, &other, "GET", "/cluster-2/dags/a.py", None).1,
        "cluster-2"
    );

    let begun = Instant::now();
    s3.remove_identity("cluster-1").await.unwrap();
    println!("identity refused after {:?}", begun.elapsed());
    assert_eq!(
        s3_request(&s3, &mine, "GET", "/cluster-1/dags/a.py", None).0,
        "403"
    );
    assert_eq!(
        s3_request(&s3, &other, "GET", "/cluster-2/dags/a.py", None).0,
        "200"
    );
    s3.remove_bucket("cluster-1").await.unwrap();
    assert_eq!(s3_request(&s3, s3.admin(), "HEAD", "/cluster-1", None).0, "404");
    s3.stop().await.unwrap();
}

#[tokio::test]
async fn storage_answers_no_stranger_on_any_port_but_the_gateways() {
    let house = House::build().await;
    let ports = S3Ports::starting_at(free_ports::<8>()[0]);
    let sockets_before = sockets_in_tmp();
    let s3 = house.s3(ports).await.unwrap();
    s3.ensure_bucket("cluster-1").await.unwrap();
    s3_request(&s3, s3.admin(), "PUT", "/cluster-1/secret", Some("secret"));
    for port in [
        ports.master,
        ports.master_grpc,
        ports.volume,
        ports.volume_grpc,
        ports.filer,
        ports.filer_grpc,
        ports.s3_grpc,
    ] {
        for heard in stranger_hears(port) {
            let refused = heard.is_empty() || heard == "Client sent an HTTP request to an HTTPS server.";
            assert!(refused, "port {port}: {heard}");
        }
    }
    let anonymous = Command::new("curl")
        .args(["-s", &format!("{}/cluster-1/secret", s3.endpoint())])
        .output();
    assert!(String::from_utf8_lossy(&anonymous.unwrap().stdout).contains("AccessDenied"));
    let home = house.layout().s3();
    assert_eq!(std::fs::metadata(&home).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&home).unwrap().uid(), house.account.uid);
    for (name, status) in s3.status() {
        let pid = pid_of(&status.borrow());
        assert_eq!(owner_of(pid), house.account.uid, "{name}");
        let command_line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(
            !command_line.contains(s3.admin().secret_key.expose_secret()),
            "{name}"
        );
        assert_eq!(sockets_in_tmp(), sockets_before, "{name}");
    }
    s3.stop().await.unwrap();
}

#[tokio::test]
async fn storage_keeps_objects_and_identities_through_kills_and_restarts() {
    let house = House::build().await;
    let ports = S3Ports::starting_at(free_ports::<8>()[0]);
    let s3 = house.s3(ports).await.unwrap();
    let credentials = Credentials::generate();
    s3.ensure_bucket("cluster-1").await.unwrap();
    s3.ensure_identity("cluster-1", &credentials, "cluster-1")
        .await
        .unwrap();
    for (number, (name, status)) in s3.status().into_iter().enumerate() {
        let key = format!("/cluster-1/{number}");
        assert_eq!(s3_request(&s3, &credentials, "PUT", &key, Some(&key)).0, "200");
        kill_nine(pid_of(&status.borrow()));
        eventually(&name, async || {
            matches!(&*status.borrow(), Status::Running { restarts: 1.., .. })
        })
        .await;
        let again = format!("/cluster-1/again-{number}");
        eventually("stores again", async || {
            s3_request(&s3, &credentials, "PUT", &again, Some("1")).0 == "200"
        })
        .await;
        assert_eq!(s3_request(&s3, &credentials, "GET", &key, None).1, key);
    }
    assert_eq!(
        s3_request(&s3, &credentials, "PUT", "/cluster-1/last", Some("last")).0,
        "200"
    );
    s3.stop().await.unwrap();
    let s3 = house.s3(ports).await.unwrap();
    assert_eq!(
        s3_request(&s3, &credentials, "GET", "/cluster-1/last", None),
        ("200".into(), "last".into())
    );
    s3.stop().await.unwrap();
}

#[tokio::test]
async fn environment_is_built_once_with_our_package_in_it_and_byte_compiled() {
    let (_scratch, data) = scratch();
    let installer = install_installer(data.layout(), &Silent).await.unwrap();
    let files = [
        PackageFile {
            path: "updraft_sample/__init__.py",
            contents: b"ANSWER = 42\n",
        },
        PackageFile {
            path: "updraft_sample/deep/part.py",
            contents: b"",
        },
    ];
    let lock = "six==1.17.0 \
        --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\n";
    let spec = EnvironmentSpec {
        name: "sample",
        lock,
        files: &files,
    };
    let (first, second) = tokio::join!(
        install_environment(data.layout(), &installer, spec, &Printed),
        install_environment(data.layout(), &installer, spec, &Printed)
    );
    let made = first.unwrap();
    assert_eq!(made, second.unwrap());
    let said = Command::new(&made.python)
        .args(["-c", "import six, updraft_sample as u; print(u.ANSWER)"])
        .output();
    assert_eq!(String::from_utf8_lossy(&said.unwrap().stdout).trim(), "42");
    assert!(made.site_packages.join("updraft_sample/__pycache__").is_dir());
    assert!(made.site_packages.join("__pycache__").is_dir());
    assert!(all_readable(&made.path));

    std::fs::remove_file(made.path.join(".complete")).unwrap();
    std::fs::remove_dir_all(made.site_packages.join("updraft_sample")).unwrap();
    let repaired = install_environment(data.layout(), &installer, spec, &Printed)
        .await
        .unwrap();
    assert_eq!(repaired, made);
    assert!(made.site_packages.join("updraft_sample/deep/part.py").exists());

    let changed = [PackageFile {
        path: "updraft_sample/__init__.py",
        contents: b"ANSWER = 43\n",
    }];
    let spec = EnvironmentSpec {
        files: &changed,
        ..spec
    };
    let other = install_environment(data.layout(), &installer, spec, &Printed)
        .await
        .unwrap();
    assert_ne!(other.path, made.path);
}

#[tokio::test]
async fn package_that_is_not_the_locked_one_is_refused() {
    let (_scratch, data) = scratch();
    let installer = install_installer(data.layout(), &Silent).await.unwrap();
    let lock = format!("six==1.17.0 --hash=sha256:{}\n", "0".repeat(64));
    let spec = EnvironmentSpec {
        name: "sample",
        lock: &lock,
        files: &[],
    };
    let refused = install_environment(data.layout(), &installer, spec, &Printed)
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::HashMismatch { .. }), "{refused}");
}

#[tokio::test]
async fn users_are_made_once_by_any_number_of_callers() {
    let accounts = Accounts::detect();
    if accounts != Accounts::Separate {
        assert_eq!(accounts.ensure_user("anyone").await.unwrap().uid, nix_uid());
        return;
    }
    let name = &format!("updraft-race-{}", std::process::id());
    let (a, b, c) = tokio::join!(
        accounts.ensure_user(name),
        accounts.ensure_user(name),
        accounts.ensure_user(name)
    );
    let made = a.unwrap();
    assert_ne!(made.uid, 0);
    assert_eq!((&made, &made), (&b.unwrap(), &c.unwrap()));
    assert!(accounts.ensure_user("root").await.is_err());
    accounts.remove_user(name).await.unwrap();
    accounts.remove_user(name).await.unwrap();
}

fn nix_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// Anybody on the machine could take their names first. Others may use the same software.
fn sockets_in_tmp() -> usize {
    let entries = std::fs::read_dir("/tmp").unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().contains("seaweedfs"))
        .count()
}
