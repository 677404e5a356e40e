//! The SAML service provider against responses of a real identity provider (pysaml2 with xmlsec1), as they were recorded by
//! `tests/e2e/idp/saml_idp.py record`, and against all that can be made of them.

#[cfg(test)]
mod encrypted;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod good;
#[cfg(test)]
mod live;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod refused;
