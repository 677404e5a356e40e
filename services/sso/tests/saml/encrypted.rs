//! Encrypted assertions: what opens, and what stays closed. What is refused of them is among the rows of `updraft_hostile`.

use updraft_hostile::saml::{Genuine, attackers_key, recorded, signed_again};

use crate::fixture::Situation;

#[test]
fn what_we_encrypt_for_ourselves_opens() {
    let finished = Situation::new().finish(&Genuine::recorded().encrypted());
    assert_eq!(finished.unwrap().0.subject, "ada");
}

#[test]
fn a_signed_response_vouches_for_what_is_encrypted_in_it() {
    let response = Genuine::recorded().encrypted_in_response();
    assert!(Situation::new().finish(&signed_again(&response)).is_ok());
}

#[test]
fn what_is_not_for_us_stays_closed() {
    let mut situation = Situation::new();
    situation.sp.key = attackers_key();
    for kind in ["encrypted_gcm", "encrypted_cbc"] {
        assert_eq!(
            situation.finish(&recorded(kind)).unwrap_err().code,
            "saml.decryption",
            "{kind}"
        );
    }
}

#[test]
fn a_cipher_is_never_read_from_elsewhere() {
    let gcm = recorded("encrypted_gcm");
    let reference = "CipherReference URI=\"file:///etc/passwd\"/>";
    let from = gcm.rfind("<").unwrap();
    assert!(from > 0);
    let start = gcm.rfind("CipherValue>").unwrap();
    let open = gcm[..start].rfind("CipherValue>").unwrap();
    let prefix = gcm[..open].rfind('<').unwrap();
    let damaged = format!("{}{reference}{}", &gcm[..prefix + 1], &gcm[start + 12..]);
    assert!(Situation::new().finish(&damaged).is_err());
}
