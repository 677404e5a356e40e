#![doc = include_str!("../README.md")]

mod arn;
mod assume;
mod bucket;
mod client;
mod credentials;
mod error;
mod machine;
mod pace;
mod params;
mod refusal;
mod retry;
mod service;
mod sign;

pub use arn::{AccountId, PrincipalArn, PrincipalArnError, RoleArn, RoleArnError};
pub use assume::{AssumedRole, ExternalId, ExternalIdError, SessionName};
pub use bucket::{Bucket, Opens};
pub use client::{Client, Place};
pub use credentials::{CredentialSource, Credentials, FixedCredentials, Renewed};
pub use error::{AwsError, Said};
pub use machine::{OwnCredentials, own_credentials};
pub use pace::Pace;
pub use params::Params;
pub use service::{EC2, Protocol, SSM, STS, Service};
