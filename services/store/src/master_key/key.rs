//! One key: what it is called, and what lies under it.

use std::fmt;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac as _};
use rand::RngCore as _;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::Sha256;

/// Of one key in its file.
pub(super) const BYTES: usize = 32;
const NONCE: usize = 12;
pub(crate) const MAGIC: [u8; 4] = *b"UdK1";
/// Before what is sealed: the magic, and the key's id.
pub(crate) const MARK: usize = 12;

/// What a key is called where it may be seen; nothing of the key can be learnt from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

pub(super) struct Key {
    pub(super) bytes: SecretBox<[u8; BYTES]>,
    pub(super) id: KeyId,
}

// === impl KeyId ===

impl KeyId {
    /// What stands before whatever lies under this key.
    pub(crate) fn mark(self) -> [u8; MARK] {
        let mut mark = [0; MARK];
        mark[..MAGIC.len()].copy_from_slice(&MAGIC);
        mark[MAGIC.len()..].copy_from_slice(&self.0);
        mark
    }

    /// The key that a mark names.
    pub(crate) fn of_mark(mark: &[u8]) -> Option<Self> {
        let id = mark.strip_prefix(&MAGIC)?.first_chunk()?;
        Some(Self(*id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Key ===

impl Key {
    pub(super) fn new(bytes: [u8; BYTES]) -> Self {
        let bytes = SecretBox::new(Box::new(bytes));
        let mut id = [0; 8];
        let tag = tag(bytes.expose_secret(), "updraft/key-id/", "");
        id.copy_from_slice(&tag[..8]);
        Self { id: KeyId(id), bytes }
    }

    pub(super) fn derive(&self, context: &str) -> SecretString {
        use base64::Engine as _;
        let tag = Zeroizing::new(tag(self.bytes.expose_secret(), "updraft/derive/", context));
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(tag.as_slice())
            .into()
    }

    pub(super) fn seal(&self, context: &str, secret: &SecretString) -> Option<Vec<u8>> {
        let mut nonce = [0_u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: context.as_bytes(),
        };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    pub(super) fn open(&self, context: &str, sealed: &[u8]) -> Option<SecretString> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload {
            msg: ciphertext,
            aad: context.as_bytes(),
        };
        let opened = self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()?;
        String::from_utf8(opened).map(SecretString::from).ok()
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.bytes.expose_secret()).into())
    }
}

fn tag(key: &[u8; BYTES], purpose: &str, context: &str) -> [u8; 32] {
    // HMAC takes keys of any length: this cannot fail.
    <Hmac<Sha256> as hmac::Mac>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(purpose.as_bytes());
            mac.update(context.as_bytes());
            mac.finalize().into_bytes().into()
        })
        .unwrap_or_default()
}
