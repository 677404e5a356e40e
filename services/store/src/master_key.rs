//! The key under which this installation's secrets lie; two of them, while one takes the other's place.
//!
//! Whatever is sealed says under which key: a mark before nonce and ciphertext. What releases before this one sealed has
//! no mark and lies under the one key there was; it opens as ever. Which key seals is not the file's to say alone: never
//! one that another control process does not hold ([`MasterKey::seal_with`]).

mod file;
mod key;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::SecretString;

use crate::secrets::SecretError;

pub use file::MasterKeyError;
pub use key::KeyId;
pub(crate) use key::{MAGIC, MARK};

use key::{BYTES, Key};

/// The key that seals, and while it takes another's place that one too. It can be exchanged under those who use it.
pub struct MasterKey(ArcSwap<Ring>);

/// Which of the keys that are held seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    Current,
    /// Somebody does not hold the current one yet.
    Previous,
    /// Somebody is of a release that knows no marks.
    Unmarked,
}

#[derive(Clone)]
struct Ring {
    current: Arc<Key>,
    previous: Option<Arc<Key>>,
    sealing: Sealing,
}

// === impl MasterKey ===

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    #[must_use]
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self::of(Key::new(bytes), None)
    }

    /// A key, and the one whose place it takes.
    #[must_use]
    pub fn in_place_of(previous: [u8; BYTES], current: [u8; BYTES]) -> Self {
        Self::of(Key::new(current), Some(Key::new(previous)))
    }

    fn of(current: Key, previous: Option<Key>) -> Self {
        Self(ArcSwap::from_pointee(Ring {
            current: Arc::new(current),
            previous: previous.map(Arc::new),
            sealing: Sealing::Current,
        }))
    }

    #[must_use]
    pub fn current(&self) -> KeyId {
        self.0.load().current.id
    }

    /// The key whose place the current one takes.
    #[must_use]
    pub fn previous(&self) -> Option<KeyId> {
        self.0.load().previous.as_ref().map(|key| key.id)
    }

    /// The keys that are held, the one that seals first.
    #[must_use]
    pub fn held(&self) -> Vec<KeyId> {
        let ring = self.0.load();
        let sealing = ring.sealing_key().id;
        let held = ring.keys().map(|key| key.id);
        std::iter::once(sealing)
            .chain(held.filter(|id| *id != sealing))
            .collect()
    }

    #[must_use]
    pub fn sealing(&self) -> Sealing {
        self.0.load().sealing
    }

    /// From now on this one seals.
    pub fn seal_with(&self, sealing: Sealing) {
        let ring = Ring::clone(&self.0.load());
        self.0.store(Arc::new(Ring { sealing, ..ring }));
    }

    /// Takes over another's keys, and which of them seals.
    pub fn adopt(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    /// A value that only this installation can derive, always the same for the same context: HMAC-SHA256, base64. Another
    /// key derives another one: what is to outlive the key is no derived value.
    #[must_use]
    pub fn derive(&self, context: &str) -> SecretString {
        self.0.load().sealing_key().derive(context)
    }

    /// The same under each key that is held: some process may have derived under either.
    #[must_use]
    pub fn derive_each(&self, context: &str) -> Vec<SecretString> {
        self.0.load().keys().map(|key| key.derive(context)).collect()
    }

    pub(crate) fn seal(
        &self,
        context: &str,
        name: &str,
        secret: &SecretString,
    ) -> Result<Vec<u8>, SecretError> {
        let ring = self.0.load();
        let refused = || SecretError::Sealed {
            name: name.to_owned(),
        };
        let key = ring.sealing_key();
        let sealed = key.seal(context, secret).ok_or_else(refused)?;
        Ok(match ring.sealing {
            Sealing::Unmarked => sealed,
            Sealing::Current | Sealing::Previous => [key.id.mark().as_slice(), &sealed].concat(),
        })
    }

    pub(crate) fn open(&self, context: &str, name: &str, sealed: &[u8]) -> Result<SecretString, SecretError> {
        self.0
            .load()
            .open(context, sealed)
            .ok_or_else(|| SecretError::Sealed {
                name: name.to_owned(),
            })
    }
}

// === impl Ring ===

impl Ring {
    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .map(AsRef::as_ref)
    }

    fn sealing_key(&self) -> &Key {
        match self.sealing {
            Sealing::Current => &self.current,
            Sealing::Previous | Sealing::Unmarked => self.previous.as_ref().unwrap_or(&self.current),
        }
    }

    /// Under the key that its mark names; what has no mark, under any. A nonce that looks like a mark is no matter: the
    /// ciphertext decides.
    fn open(&self, context: &str, sealed: &[u8]) -> Option<SecretString> {
        let named = KeyId::of_mark(sealed);
        let marked = self.keys().filter(|key| Some(key.id) == named);
        let under_its_key = marked.map(|key| (key, sealed.get(MARK..).unwrap_or_default()));
        let under_any = self.keys().map(|key| (key, sealed));
        under_its_key
            .chain(under_any)
            .find_map(|(key, sealed)| key.open(context, sealed))
    }
}
