//! A small mail server for one test: it keeps what it takes, and refuses as it is told.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    /// No such mailbox.
    RefusesRecipients,
    /// Not now.
    Busy,
    /// It takes the mail and is gone before it says so.
    DiesAfterwards,
}

pub(crate) struct SmtpSink {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    mails: Mutex<Vec<Mail>>,
    /// Every line that came in.
    heard: Mutex<Vec<String>>,
}

/// A mail as it came over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
}

// === impl SmtpSink ===

impl SmtpSink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Takes),
            mails: Mutex::default(),
            heard: Mutex::default(),
        });
        let for_all = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(for_all.clone().serve(stream));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.shared.heard.lock().unwrap().clone()
    }
}

// === impl Shared ===

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let mut mail = Mail::default();
        writer.write_all(b"220 sink\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            self.heard.lock().unwrap().push(line.clone());
            let mood = *self.mood.lock().unwrap();
            let command = line.split([' ', ':']).next().unwrap().to_uppercase();
            let answer = match (command.as_str(), mood) {
                ("MAIL", Mood::Busy) => "451 not now",
                ("MAIL", _) => {
                    mail.from = line;
                    "250 ok"
                }
                ("RCPT", Mood::RefusesRecipients) => "550 no such mailbox",
                ("RCPT", _) => {
                    mail.to.push(line);
                    "250 ok"
                }
                ("DATA", _) => {
                    writer.write_all(b"354 go on\r\n").await.unwrap();
                    while let Ok(Some(line)) = lines.next_line().await {
                        if line == "." {
                            break;
                        }
                        mail.text += &format!("{line}\n");
                    }
                    self.mails.lock().unwrap().push(std::mem::take(&mut mail));
                    if mood == Mood::DiesAfterwards {
                        return;
                    }
                    "250 taken"
                }
                ("QUIT", _) => "221 bye",
                _ => "250 ok",
            };
            if writer
                .write_all(format!("{answer}\r\n").as_bytes())
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

// === impl Mail ===

impl Mail {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\n\n").unwrap();
        let begin = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&begin))
    }

    /// What people read, its encoding undone.
    pub(crate) fn readable(&self) -> String {
        if self.text.contains("quoted-printable") {
            self.text.replace("=\n", "").replace("=3D", "=")
        } else {
            self.text.clone()
        }
    }

    /// What follows `link=`.
    pub(crate) fn code(&self) -> String {
        let text = self.readable();
        let (_, after) = text
            .split_once("http://localhost:7700/password?link=")
            .unwrap_or_else(|| panic!("no link: {text}"));
        let code = after.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        code.into_iter().next().unwrap().to_owned()
    }
}
