//! A bucket of the installation's own, and addresses that open one object of it for a while.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::sign::{presigned, signed_for_s3};
use crate::{AwsError, Credentials};

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub name: String,
    pub region: String,
    /// Instead of AWS's own: the bucket is the first part of the path there.
    pub endpoint: Option<Url>,
}

/// For what an address is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    Reading,
    Writing,
}

// === impl Bucket ===

impl Bucket {
    /// An address that opens the object for so long after `from`. The same arguments give the same address, and it holds
    /// what lets anybody use it.
    ///
    /// # Errors
    /// When the key or the bucket's own address has no place in one.
    pub fn address(
        &self,
        opens: Opens,
        key: &str,
        credentials: &Credentials,
        (from, lasts): (SystemTime, Duration),
    ) -> Result<String, AwsError> {
        let method = match opens {
            Opens::Reading => &Method::GET,
            Opens::Writing => &Method::PUT,
        };
        presigned(
            method,
            &self.object(key),
            credentials,
            &self.region,
            (from, lasts),
        )
    }

    /// The same for one request about the bucket itself: PUT makes it, DELETE removes it when it is empty.
    ///
    /// # Errors
    /// When the bucket's own address has no place in one.
    pub fn own_address(
        &self,
        method: &Method,
        credentials: &Credentials,
        (from, lasts): (SystemTime, Duration),
    ) -> Result<String, AwsError> {
        presigned(method, &self.object(""), credentials, &self.region, (from, lasts))
    }

    /// A request about one of its settings, such as `policy`, to be sent within minutes of `now`: GET reads it, PUT sets it to `body`.
    ///
    /// # Errors
    /// When the bucket's own address has no place in one.
    pub fn setting(
        &self,
        method: &Method,
        name: &str,
        body: String,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Request<String>, AwsError> {
        let address = format!("{}?{name}", self.object(""));
        let request = Request::builder().method(method).uri(address);
        // Where S3 takes settings, it wants a digest of its own kind beside the signature's
        // (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>).
        let request = match *method {
            Method::PUT => request
                .header("x-amz-sdk-checksum-algorithm", "SHA256")
                .header("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(&body))),
            _ => request,
        };
        let request = request
            .body(body)
            .map_err(|error| AwsError::Setup(format!("a request cannot be made: {error}")))?;
        signed_for_s3(request, credentials, &self.region, now)
    }

    fn object(&self, key: &str) -> String {
        let Self {
            name,
            region,
            endpoint,
        } = self;
        match endpoint {
            Some(endpoint) => format!("{}/{name}/{key}", endpoint.as_str().trim_end_matches('/')),
            None => format!("https://{name}.s3.{region}.amazonaws.com/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            expires_at: None,
        }
    }

    /// Signatures made with botocore 1.44 (`S3SigV4QueryAuth`).
    #[test]
    fn an_address_is_that_of_another_implementation() {
        let bucket = Bucket {
            name: "examplebucket".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some("http://10.77.0.1:8333".parse().unwrap()),
        };
        let from = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let lasts = Duration::from_secs(86_400);
        for (opens, signature) in [
            (
                Opens::Reading,
                "d7b84aedcb0c31498a5afecc008936bbeaf4dbd069424a7652d96b2e432f6fc9",
            ),
            (
                Opens::Writing,
                "216c8d6953f18ea6c6c73c0281594e367dbdef71a35d47bcfbf1fc7be6438188",
            ),
        ] {
            let address = bucket
                .address(opens, "boot/a-b_1.log", &credentials(), (from, lasts))
                .unwrap();
            let (object, asked) = address.split_once('?').unwrap();
            assert_eq!(object, "http://10.77.0.1:8333/examplebucket/boot/a-b_1.log");
            assert!(asked.contains(signature), "{address}");
        }
    }

    #[test]
    fn at_aws_a_bucket_has_a_host_of_its_own() {
        let bucket = Bucket {
            name: "prod-artifacts".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: None,
        };
        let now = (SystemTime::now(), Duration::from_secs(60));
        let address = bucket.address(Opens::Reading, "agent.tar.gz", &credentials(), now);
        let at = "https://prod-artifacts.s3.eu-central-1.amazonaws.com/agent.tar.gz?";
        assert!(address.unwrap().starts_with(at));
    }
}
