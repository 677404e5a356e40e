//! Names of one test's own, and how they change their minds.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Mutex;

use updraft_sso::outbound::Resolve;

#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<String, Vec<IpAddr>>>);

// === impl Names ===

impl Names {
    /// From now on this name leads there.
    pub(crate) fn lead(&self, name: &str, to: &[&str]) {
        let to = to.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), to);
    }
}

impl Resolve for Names {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        let known = self.0.lock().unwrap().get(host).cloned();
        Box::pin(async move { known.ok_or_else(|| io::Error::other("no such name")) })
    }
}
