//! TXT records that a test makes up.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use updraft_app::{TxtAnswer, TxtRecords};

#[derive(Debug, Default)]
pub(crate) struct FakeDns {
    /// A name that is not there has no records; `None` stands for a server that gives no answer.
    records: Mutex<HashMap<String, Option<String>>>,
}

// === impl FakeDns ===

impl FakeDns {
    pub(crate) fn set(&self, name: &str, text: &str) {
        self.records
            .lock()
            .unwrap()
            .insert(name.to_owned(), Some(text.to_owned()));
    }

    pub(crate) fn be_silent_about(&self, name: &str) {
        self.records.lock().unwrap().insert(name.to_owned(), None);
    }
}

impl TxtRecords for FakeDns {
    fn look_up<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = TxtAnswer> + Send + 'a>> {
        let answer = match self.records.lock().unwrap().get(name) {
            Some(Some(text)) => TxtAnswer::Records(vec!["v=spf1 -all".to_owned(), text.clone()]),
            Some(None) => TxtAnswer::Unknown,
            None => TxtAnswer::Records(Vec::new()),
        };
        Box::pin(async move { answer })
    }
}
