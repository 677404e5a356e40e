//! The certificate that SeaweedFS's processes show one another, and the file that tells them to ask for it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{Account, Error, Result, parts, secret};

const DIRECTORY: &str = "tls";

/// Makes the authority and its one certificate on first use, and writes `security.toml`.
pub(super) fn ensure(home: &Path, account: &Account) -> Result<()> {
    let directory = home.join(DIRECTORY);
    if !directory.exists() {
        let aside = home.join("tls.new");
        parts::remove(&aside)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&aside)
            .map_err(Error::io("make", &aside))?;
        let made = make().map_err(|error| Error::Damaged {
            path: directory.clone(),
            detail: error.to_string(),
        })?;
        for (name, pem) in made {
            secret::write(&aside.join(name), pem.as_bytes(), Some(account))?;
        }
        account.own(&aside).map_err(Error::io("give away", &aside))?;
        fs::rename(&aside, &directory).map_err(Error::io("move into place", &directory))?;
    }
    secret::write(
        &home.join("security.toml"),
        security_toml().as_bytes(),
        Some(account),
    )
}

/// The authority's key lives only in here: nothing can be signed by it again.
fn make() -> std::result::Result<[(&'static str, String); 3], rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut node = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    node.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    node.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let certificate = node.signed_by(&key, &issuer)?;
    Ok([
        ("ca.crt", authority_certificate.pem()),
        ("node.crt", certificate.pem()),
        ("node.key", key.serialize_pem()),
    ])
}

/// Read by every `weed` from its working directory; paths are relative to that.
fn security_toml() -> String {
    let pair = "cert = \"tls/node.crt\"\nkey = \"tls/node.key\"\n";
    let mut text = String::from("[grpc]\nca = \"tls/ca.crt\"\n");
    for side in ["master", "volume", "filer", "s3", "client"] {
        text.push_str(&format!("[grpc.{side}]\n{pair}"));
    }
    for side in ["master", "volume", "filer"] {
        text.push_str(&format!("[https.{side}]\n{pair}ca = \"tls/ca.crt\"\n"));
    }
    text.push_str(&format!(
        "[https.client]\nenabled = true\n{pair}ca = \"tls/ca.crt\"\n"
    ));
    text
}
