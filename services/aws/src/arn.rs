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

/// Twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(String);

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("write the role as arn:aws:iam::123456789012:role/name, as its account's IAM shows it")]
pub struct RoleArnError;

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
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts[..] else {
            return Err(RoleArnError);
        };
        let name = resource.strip_prefix("role/").ok_or(RoleArnError)?;
        let in_name = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let is_partition =
            partition.starts_with("aws") && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if !is_account || !is_partition || name.is_empty() || name.len() > 576 || !name.chars().all(in_name) {
            return Err(RoleArnError);
        }
        Ok(Self {
            text: text.to_owned(),
            account: AccountId(account.to_owned()),
        })
    }
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

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::RoleArn;

    #[test]
    fn a_role_names_its_account() {
        let role: RoleArn = "arn:aws-cn:iam::123456789012:role/path/updraft".parse().unwrap();
        assert_eq!(role.account().to_string(), "123456789012");
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
