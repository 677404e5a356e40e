//! What is said of an AWS account, as it is typed.

use serde::Deserialize;
use updraft_model::{AwsAccountConfig, AwsMachine, AwsMarket, AwsVolume};

use crate::error::Complaint;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AwsAccountForm {
    pub(crate) role_arn: String,
    pub(crate) region: String,
    /// Ids, with blanks, commas or new lines between.
    pub(crate) subnets: String,
    pub(crate) security_groups: String,
    pub(crate) instance_profile: String,
    pub(crate) image: String,
    pub(crate) scheduler_type: String,
    pub(crate) web_type: String,
    pub(crate) worker_type: String,
    /// A checkbox: absent when it is off.
    pub(crate) worker_spot: Option<String>,
    pub(crate) root_gib: String,
    pub(crate) root_device: String,
    pub(crate) kms_key: String,
    /// `keep`, `end`, or empty.
    pub(crate) on_stop: String,
}

// === impl AwsAccountForm ===

impl AwsAccountForm {
    pub(crate) fn of(config: &AwsAccountConfig) -> Self {
        let kind = |machine: &Option<AwsMachine>| {
            let machine = machine.as_ref();
            machine
                .map(|machine| machine.instance_type.clone())
                .unwrap_or_default()
        };
        let is_spot = config
            .worker
            .as_ref()
            .is_some_and(|worker| worker.market == AwsMarket::Spot);
        let volume = config.root_volume.as_ref();
        Self {
            role_arn: config.role_arn.clone(),
            region: config.region.clone(),
            subnets: config.subnets.join("\n"),
            security_groups: config.security_groups.join("\n"),
            instance_profile: config.instance_profile.clone(),
            image: config.image.clone().unwrap_or_default(),
            scheduler_type: kind(&config.scheduler),
            web_type: kind(&config.web),
            worker_type: kind(&config.worker),
            worker_spot: is_spot.then(|| "yes".to_owned()),
            root_gib: volume.map(|volume| volume.gib.to_string()).unwrap_or_default(),
            root_device: volume.map(|volume| volume.device.clone()).unwrap_or_default(),
            kms_key: volume
                .and_then(|volume| volume.kms_key.clone())
                .unwrap_or_default(),
            on_stop: config
                .on_stop
                .map(|choice| choice.to_string())
                .unwrap_or_default(),
        }
    }

    /// What is left empty is as the installation has it.
    pub(crate) fn config(&self) -> Result<AwsAccountConfig, Complaint> {
        if self.worker_spot.is_some() && self.worker_type.trim().is_empty() {
            return Err(Complaint::new(
                "Spot is for a type of instance that you name.",
                "Name the workers’ type.",
            ));
        }
        Ok(AwsAccountConfig {
            role_arn: self.role_arn.trim().to_owned(),
            region: self.region.trim().to_owned(),
            subnets: ids(&self.subnets),
            security_groups: ids(&self.security_groups),
            instance_profile: self.instance_profile.trim().to_owned(),
            image: given(&self.image),
            scheduler: machine(&self.scheduler_type, AwsMarket::OnDemand),
            web: machine(&self.web_type, AwsMarket::OnDemand),
            worker: machine(&self.worker_type, self.worker_market()),
            root_volume: self.volume()?,
            on_stop: self.on_stop.parse().ok(),
        })
    }

    fn worker_market(&self) -> AwsMarket {
        match self.worker_spot {
            Some(_) => AwsMarket::Spot,
            None => AwsMarket::OnDemand,
        }
    }

    fn volume(&self) -> Result<Option<AwsVolume>, Complaint> {
        let (gib, device, kms_key) = (
            given(&self.root_gib),
            given(&self.root_device),
            given(&self.kms_key),
        );
        match (gib, device) {
            (None, None) if kms_key.is_none() => Ok(None),
            (Some(gib), Some(device)) => match gib.parse() {
                Ok(gib) => Ok(Some(AwsVolume { gib, device, kms_key })),
                Err(_) => Err(Complaint::new(
                    format!("“{gib}” is no size of a disk."),
                    "Write a whole number of GiB, for example 50.",
                )),
            },
            _ => Err(Complaint::new(
                "A disk has a size and a device.",
                "Fill in both, or leave the disk as the installation has it.",
            )),
        }
    }
}

fn ids(text: &str) -> Vec<String> {
    let between = |sign: char| sign.is_whitespace() || sign == ',';
    text.split(between)
        .filter(|id| !id.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

fn given(text: &str) -> Option<String> {
    Some(text.trim())
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned)
}

fn machine(kind: &str, market: AwsMarket) -> Option<AwsMachine> {
    given(kind).map(|instance_type| AwsMachine {
        instance_type,
        market,
    })
}

#[cfg(test)]
mod tests {
    use super::AwsAccountForm;

    fn form() -> AwsAccountForm {
        AwsAccountForm {
            role_arn: " arn:aws:iam::210987654321:role/updraft-control ".into(),
            region: "eu-central-1".into(),
            subnets: "subnet-0a1b2c3d, subnet-1a1b2c3d\r\n".into(),
            instance_profile: "updraft-node".into(),
            worker_type: "m7i.xlarge".into(),
            worker_spot: Some("yes".into()),
            root_gib: "50".into(),
            root_device: "/dev/xvda".into(),
            on_stop: "keep".into(),
            ..AwsAccountForm::default()
        }
    }

    #[test]
    fn what_was_said_is_read_back_as_it_was_typed() {
        let config = form().config().unwrap();
        assert_eq!(config.subnets, ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]);
        assert!(config.security_groups.is_empty() && config.image.is_none() && config.scheduler.is_none());
        assert_eq!(AwsAccountForm::of(&config).config().unwrap(), config);
    }

    #[test]
    fn half_a_wish_is_named() {
        let half = |change: fn(&mut AwsAccountForm)| {
            let mut form = form();
            change(&mut form);
            form.config().is_err()
        };
        assert!(half(|form| form.worker_type.clear()));
        assert!(half(|form| form.root_device.clear()));
        assert!(half(|form| "much".clone_into(&mut form.root_gib)));
        assert!(!half(|form| (form.root_gib.clear(), form.root_device.clear()).0));
    }
}
