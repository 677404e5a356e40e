//! Cookies and addresses, and nothing else of a browser.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::{Request, header};
use updraft_model::ProviderId;

use crate::house::{Answer, Asked, HERE, Process, request};

pub(crate) struct Browser<'h> {
    process: &'h Process,
    pub(crate) from: IpAddr,
    pub(crate) cookies: Vec<(String, String)>,
}

// === impl Browser ===

impl<'h> Browser<'h> {
    pub(crate) fn of(process: &'h Process, from: IpAddr) -> Self {
        Self {
            process,
            from,
            cookies: Vec::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let asked = self.asked("GET", path);
        self.send(asked.empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, form: String) -> Answer {
        let asked = self.asked("POST", path).header("origin", HERE);
        self.send(asked.form(form)).await
    }

    /// Off to the provider; where the browser is sent, or a refusal.
    pub(crate) async fn begins(&mut self, provider: ProviderId) -> Answer {
        let path = format!("/sign-in/through/{provider}?return_to=%2Fclusters");
        self.get(&path).await
    }

    pub(crate) fn session(&self) -> Option<&str> {
        let session = self.cookies.iter().find(|(name, _)| name == "updraft_session");
        session.map(|(_, token)| token.as_str())
    }

    fn asked(&self, method: &str, path: &str) -> Asked {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        request(method, path).header(header::COOKIE.as_str(), &cookies.join("; "))
    }

    async fn send(&mut self, request: Request<Body>) -> Answer {
        let answer = self.process.ask(self.from, request).await;
        for name in ["updraft_session", "updraft_sign_in"] {
            if let Some(value) = answer.cookie(name) {
                self.cookies.retain(|(known, _)| known != name);
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }
}
