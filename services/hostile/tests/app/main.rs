//! Every row of `updraft_hostile` and more, asked of the whole application: console, REST and what edges ask, over one real
//! database. Each is refused without a 5xx, each leaves exactly one line in the audit log, with its reason, by whom and from
//! where; and beside each the same thing done as it should be succeeds, and says so there too.

#[cfg(test)]
mod browser;
#[cfg(test)]
mod count;
#[cfg(test)]
mod forwarded;
#[cfg(test)]
mod house;
#[cfg(test)]
mod log;
#[cfg(test)]
mod names;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod outbound;
#[cfg(test)]
mod play;
#[cfg(test)]
mod provider_logout;
#[cfg(test)]
mod saml;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod way_back;
