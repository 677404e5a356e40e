//! Whether the image is there and fits.

use serde::Deserialize;
use serde_json::json;
use updraft_aws::{AwsError, EC2, Params, SSM};

use super::finding::{Fault, Finding};
use crate::answers::Set;
use crate::config::Image;
use crate::provider::Ec2Provider;

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "Parameter")]
    parameter: ParameterValue,
}

#[derive(Deserialize)]
struct ParameterValue {
    #[serde(rename = "Value")]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Images {
    #[serde(default)]
    images_set: Set<FoundImage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundImage {
    image_id: String,
    image_state: String,
    architecture: String,
    root_device_name: Option<String>,
}

// === impl Ec2Provider ===

impl Ec2Provider {
    pub(super) async fn image(&self) -> Finding {
        let id = match &self.config.image {
            Image::Id(id) => id.clone(),
            Image::Parameter(name) => self.parameter(name).await?,
        };
        let asked = Params::default().with_list("ImageId", [&id]);
        let found: Images = self.aws.query(EC2, "DescribeImages", &asked).await?;
        let Some(image) = found.images_set.items.into_iter().next() else {
            return Err(AwsError::Said(Box::new(not_found(&id))).into());
        };
        let device = &self.config.root_volume.device;
        let fault = match image.root_device_name.as_deref() {
            _ if image.image_state != "available" => Some(("image", "is not ready: wait, or name another")),
            _ if image.architecture != "x86_64" => {
                Some(("image", "has to be of x86_64, as nodes' agents are"))
            }
            Some(root) if root != device => Some(("root_volume.device", "has to be the image's root device")),
            _ => None,
        };
        match fault {
            None => Ok(image.image_id),
            Some((field, why)) => Err(Fault::blocking(
                format!(
                    "{id}: {}, {}, root device {}",
                    image.image_state,
                    image.architecture,
                    image.root_device_name.unwrap_or_default()
                ),
                format!("`{field}` {why}"),
            )),
        }
    }

    async fn parameter(&self, name: &str) -> Result<String, Fault> {
        let found: Parameter = self
            .aws
            .json(SSM, "GetParameter", &json!({ "Name": name }))
            .await?;
        Ok(found.parameter.value)
    }
}

fn not_found(image: &str) -> updraft_aws::Said {
    updraft_aws::Said {
        action: "DescribeImages",
        status: 400,
        code: "InvalidAMIID.NotFound".to_owned(),
        message: format!("there is no image {image} here"),
        request_id: None,
    }
}
