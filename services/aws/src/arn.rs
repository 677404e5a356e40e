//! Names of roles, checked before AWS is asked about them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `arn:aws:iam::123456789012:role/updraft`
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn {
    text: String,
    account: AccountId,
}

/// Who trust policies name: a role, a user, or all of an account (`arn:aws:iam::123456789012:root`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrincipalArn {
    text: String,
    account: AccountId,
}

/// Twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(String);

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("write the role as arn:aws:iam::123456789012:role/name, as its account's IAM shows it")]
pub struct RoleArnError;

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("write a role, a user or an account as arn:aws:iam::123456789012:role/name, …:user/name or …:root")]
pub struct PrincipalArnError;

// === impl RoleArn ===

impl RoleArn {
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for RoleArn {
    type Err = RoleArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (account, resource) = of_iam(text).ok_or(RoleArnError)?;
        match resource.strip_prefix("role/").is_some_and(is_name) {
            true => Ok(Self {
                text: text.to_owned(),
                account,
            }),
            false => Err(RoleArnError),
        }
    }
}

/// Account and resource.
fn of_iam(text: &str) -> Option<(AccountId, &str)> {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return None;
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_partition =
        partition.starts_with("aws") && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (is_account && is_partition).then(|| (AccountId(account.to_owned()), resource))
}

fn is_name(name: &str) -> bool {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    (1..=576).contains(&name.len()) && name.chars().all(in_name)
}

impl TryFrom<String> for RoleArn {
    type Error = RoleArnError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RoleArn> for String {
    fn from(arn: RoleArn) -> Self {
        arn.text
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl PrincipalArn ===

impl PrincipalArn {
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }
}

impl FromStr for PrincipalArn {
    type Err = PrincipalArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (account, resource) = of_iam(text).ok_or(PrincipalArnError)?;
        let named = resource
            .strip_prefix("role/")
            .or_else(|| resource.strip_prefix("user/"));
        match named.map_or(resource == "root", is_name) {
            true => Ok(Self {
                text: text.to_owned(),
                account,
            }),
            false => Err(PrincipalArnError),
        }
    }
}

impl TryFrom<String> for PrincipalArn {
    type Error = PrincipalArnError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PrincipalArn> for String {
    fn from(arn: PrincipalArn) -> Self {
        arn.text
    }
}

impl fmt::Display for PrincipalArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{PrincipalArn, RoleArn};

    #[test]
    fn a_role_names_its_account() {
        let role: RoleArn = "arn:aws-cn:iam::123456789012:role/path/updraft".parse().unwrap();
        assert_eq!(role.account().to_string(), "123456789012");
    }

    #[test]
    fn a_principal_is_a_role_a_user_or_an_account() {
        for good in ["role/updraft", "user/path/updraft", "root"] {
            assert!(
                format!("arn:aws:iam::123456789012:{good}")
                    .parse::<PrincipalArn>()
                    .is_ok()
            );
        }
        for bad in [
            "*",
            "arn:aws:iam::123456789012:*",
            "arn:aws:iam::123456789012:user/",
            "root",
        ] {
            assert!(bad.parse::<PrincipalArn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_role_is_refused() {
        for bad in [
            "",
            "updraft",
            "arn:aws:iam::123456789012:user/updraft",
            "arn:aws:iam::12345678901:role/updraft",
            "arn:aws:iam::12345678901x:role/updraft",
            "arn:aws:iam:us-east-1:123456789012:role/updraft",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a&b",
            "arn:evil:iam::123456789012:role/updraft",
        ] {
            assert!(bad.parse::<RoleArn>().is_err(), "{bad}");
        }
    }
}
