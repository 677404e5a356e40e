//! OpenID Connect against providers of our own, honest and hostile.

#[cfg(test)]
mod canaille;
#[cfg(test)]
mod certified;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod real;
#[cfg(test)]
mod sign_in;
