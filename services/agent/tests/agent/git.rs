//! git as a DAG source: real repositories behind git's own HTTP server and OpenSSH's, on loopback.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use updraft_agent::dags::DagEvent;
use updraft_api::agent::{DagDelivery, GitCredential, SourceDelivery, SourceFrom};
use updraft_testing::free_port;

use crate::dags::{Disk, Source, delivery};

/// A bare repository and a work tree that pushes to it.
pub(crate) struct Repository {
    pub(crate) dir: tempfile::TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let repository = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let root = repository.dir.path();
        git(root, &["init", "--quiet", "--bare", "-b", "main", "dags.git"]);
        git(root, &["clone", "--quiet", "dags.git", "work"]);
        git(&repository.work(), &["checkout", "--quiet", "-b", "main"]);
        repository
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A commit of so many files, which nobody has to write.
    pub(crate) fn push_many(&self, files: usize) {
        let mut commit = "blob\nmark :1\ndata 1\nx\ncommit refs/heads/main\n".to_owned();
        commit += "committer Ada <ada@example.com> 1700000000 +0000\ndata 4\nmany\n";
        for number in 0..files {
            // git takes a long time over long directories.
            commit += &format!("M 100644 :1 many/{}/{number}.py\n", number / 100);
        }
        let mut importing = Command::new("git")
            .args(["fast-import", "--quiet", "--force"])
            .current_dir(self.dir.path().join("dags.git"))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = importing.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, commit.as_bytes()).unwrap();
        drop(input);
        assert!(importing.wait().unwrap().success());
    }

    pub(crate) fn push(&self, message: &str) -> String {
        git(&self.work(), &["add", "--all"]);
        git(
            &self.work(),
            &["commit", "--quiet", "--allow-empty", "-m", message],
        );
        git(
            &self.work(),
            &["push", "--quiet", "--force", "origin", "HEAD:main"],
        );
        git(&self.work(), &["rev-parse", "HEAD"])
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// `git http-backend` with a password; counts what it is asked.
pub(crate) struct HttpServer {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl HttpServer {
    pub(crate) async fn serve(root: &Path, password: Option<&'static str>) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let app = axum::Router::new().fallback(any(backend)).with_state((
            root.to_owned(),
            password,
            Arc::clone(&asked),
        ));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    pub(crate) fn delivery(&self, repository: &str, git: impl FnOnce(&mut SourceFrom)) -> DagDelivery {
        let mut from = SourceFrom::Git {
            url: format!("{}/{repository}", self.url),
            reference: "main".to_owned(),
            path: String::new(),
            submodules: false,
            credential: None,
        };
        git(&mut from);
        let mut delivery = delivery(vec![SourceDelivery {
            folder: String::new(),
            from,
            ca_certificate: None,
        }]);
        delivery.outbound_allow = vec![self.url.trim_start_matches("http://").to_owned()];
        delivery
    }
}

type Served = (PathBuf, Option<&'static str>, Arc<Mutex<Vec<String>>>);

/// CGI (RFC 3875), as far as git needs it.
async fn backend(State((root, password, asked)): State<Served>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    asked.lock().unwrap().push(head.uri.path().to_owned());
    let headers = head.headers.clone();
    let text = move |name: header::HeaderName| {
        let value = headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    };
    if let Some(password) = password {
        use base64::Engine as _;
        let expected = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("x:{password}"))
        );
        if text(header::AUTHORIZATION) != expected {
            return Response::builder()
                .status(StatusCode::UNAUTHORIZED)
                .body(Body::empty())
                .unwrap();
        }
    }
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .env("PATH_INFO", head.uri.path())
            .env("QUERY_STRING", head.uri.query().unwrap_or_default())
            .env("REQUEST_METHOD", head.method.as_str())
            .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
            .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
            .env(
                "GIT_PROTOCOL",
                text(header::HeaderName::from_static("git-protocol")),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut input, &body));
        let output = child.wait_with_output().unwrap();
        let _ = writing.join();
        output.stdout
    })
    .await
    .unwrap();
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}

async fn published(disk: &mut Disk) -> updraft_api::agent::SourceRevision {
    let some =
        |event: &DagEvent| matches!(event, DagEvent::Published(version) if !version.sources.is_empty());
    let event = disk.event(some).await;
    let DagEvent::Published(version) = event else {
        panic!("that was another event");
    };
    version.sources.into_iter().next().unwrap()
}

/// Names a token in a source.
pub(crate) fn show(from: &mut SourceFrom, secret: &str) {
    if let SourceFrom::Git { credential, .. } = from {
        *credential = Some(GitCredential::Token {
            username: "x".to_owned(),
            token: secret.to_owned().into(),
        });
    }
}

pub(crate) fn look_again(disk: &Disk) {
    disk.wishes.send_modify(|wishes| wishes.sync += 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_followed_and_looking_costs_no_fetch() {
    let repository = Repository::new();
    repository.write("dags/a.py", "1");
    repository.write("docs/readme.md", "not a DAG");
    std::os::unix::fs::symlink("a.py", repository.work().join("dags/b.py")).unwrap();
    let commit = repository.push("First words");
    let server = HttpServer::serve(repository.dir.path(), None).await;
    let source = Source::new();
    let mut disk = Disk::new();
    disk.run(
        &source,
        server.delivery("dags.git", |from| {
            if let SourceFrom::Git { path, .. } = from {
                "dags".clone_into(path);
            }
        }),
    );
    let revision = published(&mut disk).await;
    assert_eq!(
        (revision.revision, revision.author.as_deref()),
        (commit, Some("Ada"))
    );
    assert_eq!(revision.message.as_deref(), Some("First words"));
    disk.serves(&[("a.py", "1"), ("b.py", "1")]).await;

    repository.write("dags/a.py", "2");
    repository.push("Second words");
    look_again(&disk);
    disk.serves(&[("a.py", "2"), ("b.py", "2")]).await;

    // Nothing new: the references are listed, and nothing else is asked for.
    let synced = |disk: &Disk| disk.wishes.borrow().sync;
    let number = synced(&disk);
    disk.event(|event| *event == DagEvent::Synced(number)).await;
    server.asked.lock().unwrap().clear();
    look_again(&disk);
    let number = synced(&disk);
    disk.event(|event| *event == DagEvent::Synced(number)).await;
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked, ["/dags.git/info/refs", "/dags.git/git-upload-pack"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_a_repository_is_explained_and_what_was_good_serves() {
    let repository = Repository::new();
    repository.write("a.py", "1");
    repository.push("good");
    let server = HttpServer::serve(repository.dir.path(), None).await;
    let source = Source::new();
    let mut disk = Disk::new();
    disk.run(&source, server.delivery("dags.git", |_| {}));
    disk.serves(&[("a.py", "1")]).await;

    let bare = repository.dir.path().join("dags.git");
    let good = git(&bare, &["rev-parse", "main"]);
    let work = repository.work();
    let mut refused = async |prepare: &dyn Fn(), expected: &str| {
        prepare();
        look_again(&disk);
        let reason = disk.trouble().await;
        assert!(reason.contains(expected), "{expected}: {reason}");
        disk.serves(&[("a.py", "1")]).await;
        git(&work, &["reset", "--quiet", "--hard", &good]);
        git(&work, &["clean", "--quiet", "-fdx"]);
        git(&work, &["push", "--quiet", "--force", "origin", "HEAD:main"]);
        look_again(&disk);
        disk.recovery().await;
    };
    refused(
        &|| drop(git(&bare, &["update-ref", "-d", "refs/heads/main"])),
        "no branch or tag `main`",
    )
    .await;
    refused(
        &|| {
            std::os::unix::fs::symlink("/etc/passwd", work.join("p")).unwrap();
            drop(repository.push("link"));
        },
        "`p`",
    )
    .await;
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    refused(
        &|| {
            repository.write("model.bin", pointer);
            repository.push("lfs");
        },
        "`model.bin` is a Git LFS pointer",
    )
    .await;
    refused(
        &|| {
            repository.write("A.py", "x");
            repository.push("case");
        },
        "only in case",
    )
    .await;
    refused(
        &|| {
            use std::os::unix::ffi::OsStrExt as _;
            std::fs::write(work.join(std::ffi::OsStr::from_bytes(b"caf\xe9.py")), "x").unwrap();
            repository.push("name");
        },
        "caf\\xe9.py",
    )
    .await;
    refused(
        &|| {
            std::fs::remove_file(work.join("a.py")).unwrap();
            repository.push("nothing left");
        },
        "empty",
    )
    .await;

    // History that was written anew is as good as any.
    git(&work, &["checkout", "--quiet", "--orphan", "other"]);
    repository.write("a.py", "rewritten");
    repository.push("other history");
    look_again(&disk);
    disk.serves(&[("a.py", "rewritten")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_private_repository_and_git_never_sees_it() {
    let repository = Repository::new();
    repository.write("a.py", "secret DAG");
    repository.push("private");
    let server = HttpServer::serve(repository.dir.path(), Some("hunter2")).await;
    let source = Source::new();
    let with = |secret: Option<&str>| {
        let token = secret.map(|secret| GitCredential::Token {
            username: "x".to_owned(),
            token: secret.to_owned().into(),
        });
        server.delivery("dags.git", |from| {
            if let SourceFrom::Git { credential, .. } = from {
                *credential = token;
            }
        })
    };
    for (secret, expected) in [
        (None, "name a credential"),
        (Some("wrong"), "refuses the credential"),
    ] {
        let mut disk = Disk::new();
        disk.run(&source, with(secret));
        let reason = disk.trouble().await;
        assert!(reason.contains(expected) && !reason.contains("wrong"), "{reason}");
    }
    let mut disk = Disk::new();
    disk.run(&source, with(Some("hunter2")));
    disk.serves(&[("a.py", "secret DAG")]).await;
    let kept = Command::new("grep")
        .args(["-r", "hunter2"])
        .arg(disk.path(""))
        .output()
        .unwrap();
    assert!(
        kept.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&kept.stdout)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_the_installation_does_not_open_are_refused() {
    for (address, expected) in [
        ("http://127.0.0.1:9/x.git", "https://"),
        ("https://127.0.0.1/x.git", "public internet"),
        ("https://169.254.169.254/x.git", "public internet"),
        ("ssh://git@127.0.0.1/x.git", "public internet"),
        ("file:///etc", "by https:// or ssh://"),
        ("ext::sh -c id", "no URL"),
    ] {
        let mut delivery = delivery(vec![SourceDelivery {
            folder: String::new(),
            from: SourceFrom::Git {
                url: address.to_owned(),
                reference: "main".to_owned(),
                path: String::new(),
                submodules: false,
                credential: address.starts_with("ssh").then(|| GitCredential::SshKey {
                    private_key: String::new().into(),
                    known_hosts: String::new(),
                }),
            },
            ca_certificate: None,
        }]);
        delivery.outbound_allow = Vec::new();
        let mut disk = Disk::new();
        disk.run(&Source::new(), delivery);
        let reason = disk.trouble().await;
        assert!(
            reason.contains(expected) || address.starts_with("ext"),
            "{address}: {reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_are_filled_when_asked_for() {
    let library = Repository::new();
    library.write("tools.py", "shared");
    library.push("library");
    let repository = Repository::new();
    std::fs::rename(
        library.dir.path().join("dags.git"),
        repository.dir.path().join("library.git"),
    )
    .unwrap();
    repository.write("a.py", "1");
    let outside = repository.dir.path().join("library.git");
    let outside = outside.to_str().unwrap();
    git(
        &repository.work(),
        &["submodule", "--quiet", "add", outside, "lib"],
    );
    let named = std::fs::read_to_string(repository.work().join(".gitmodules")).unwrap();
    repository.write(".gitmodules", &named.replace(outside, "../library.git"));
    repository.push("with a submodule");
    let server = HttpServer::serve(repository.dir.path(), None).await;
    let mut disk = Disk::new();
    disk.run(
        &Source::new(),
        server.delivery("dags.git", |from| {
            if let SourceFrom::Git { submodules, .. } = from {
                *submodules = true;
            }
        }),
    );
    disk.event(|event| matches!(event, DagEvent::Live(_))).await;
    crate::support::eventually("the submodule's file", || {
        disk.live()
            .is_some_and(|files| files.get("lib/tools.py").is_some_and(|text| text == "shared"))
    })
    .await;
}

/// OpenSSH's server, for whoever has the key.
struct SshServer {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl SshServer {
    /// None where it is not installed.
    fn serve() -> Option<Self> {
        let program = Path::new("/usr/sbin/sshd");
        if !program.exists() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["host", "user", "other"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.path().join(name))
                .status();
            assert!(made.unwrap().success());
        }
        std::fs::copy(dir.path().join("user.pub"), dir.path().join("authorized")).unwrap();
        let port = free_port();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let _ = std::fs::create_dir_all("/run/sshd");
        let child = Command::new(program)
            .args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string()])
            .args([
                "-o",
                "ListenAddress=127.0.0.1",
                "-o",
                "StrictModes=no",
                "-o",
                "UsePAM=no",
                "-o",
                "PidFile=none",
            ])
            .args(["-o", &format!("HostKey={}", at("host"))])
            .args(["-o", &format!("AuthorizedKeysFile={}", at("authorized"))])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, port, dir })
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    fn delivery(&self, repository: &Repository, key: &str, host: &str) -> DagDelivery {
        let me = Command::new("id").arg("-un").output().unwrap();
        let me = String::from_utf8(me.stdout).unwrap();
        let path = repository.dir.path().join("dags.git");
        let mut delivery = delivery(vec![SourceDelivery {
            folder: "team".to_owned(),
            from: SourceFrom::Git {
                url: format!("ssh://{}@127.0.0.1:{}{}", me.trim(), self.port, path.display()),
                reference: "main".to_owned(),
                path: String::new(),
                submodules: false,
                credential: Some(GitCredential::SshKey {
                    private_key: self.read(key).into(),
                    known_hosts: format!("[127.0.0.1]:{} {}", self.port, self.read(&format!("{host}.pub"))),
                }),
            },
            ca_certificate: None,
        }]);
        delivery.outbound_allow = vec![format!("127.0.0.1:{}", self.port)];
        delivery
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_opens_a_repository_over_ssh_and_a_foreign_host_key_does_not() {
    let Some(server) = SshServer::serve() else {
        eprintln!("No sshd here: install openssh-server to try git over ssh");
        return;
    };
    let address = ("127.0.0.1", server.port);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let repository = Repository::new();
    repository.write("a.py", "over ssh");
    repository.push("first");
    let source = Source::new();
    for (key, host, expected) in [
        ("user", "other", "another host key"),
        ("other", "host", "does not take the deploy key"),
    ] {
        let mut disk = Disk::new();
        disk.run(&source, server.delivery(&repository, key, host));
        let reason = disk.trouble().await;
        assert!(reason.contains(expected), "{reason}");
    }
    let mut disk = Disk::new();
    disk.run(&source, server.delivery(&repository, "user", "host"));
    disk.serves(&[("team/a.py", "over ssh")]).await;
    let number = disk.wishes.borrow().sync;
    disk.event(|event| *event == DagEvent::Synced(number)).await;
    crate::support::eventually("the key to be gone", || {
        std::fs::read_dir(disk.path("dags/git/ssh")).unwrap().count() == 0
    })
    .await;
}
