//! Made-up AWS accounts: for the tests of pages and for the preview.

use chrono::TimeDelta;
use updraft_api::aws_accounts::{AwsAccountCheck, AwsAccountView, AwsCheck};
use updraft_model::{AwsAccountConfig, AwsAccountId, AwsMachine, AwsMarket};

use crate::fixtures::now;
use crate::frame::Frame;
use crate::pages::aws_account::AwsAccountPage;
use crate::pages::aws_accounts::AwsAccountsPage;

pub(crate) fn account(name: &str, config: Option<AwsAccountConfig>) -> AwsAccountView {
    AwsAccountView {
        id: AwsAccountId(uuid::Uuid::from_u128(7)),
        name: name
            .parse()
            .unwrap_or_else(|_| unreachable!("fixtures have good names")),
        external_id: "updraft-0123456789abcdef0123456789abcdef".into(),
        next_external_id: config
            .is_some()
            .then(|| "updraft-fedcba9876543210fedcba9876543210".into()),
        principal: Some("arn:aws:iam::123456789012:role/updraft-control".into()),
        trust_policy: Some("{\n  \"sts:ExternalId\": \"updraft-0123456789abcdef0123456789abcdef\"\n}".into()),
        permissions_policy: Some("{\n  \"Sid\": \"LookAround\"\n}".into()),
        terraform: Some("module \"updraft\" {\n}\n".into()),
        used_by: if config.is_some() {
            vec!["demo".into()]
        } else {
            Vec::new()
        },
        config,
        refusal: None,
        created_at: now() - TimeDelta::days(9),
        updated_at: now() - TimeDelta::days(3),
    }
}

pub(crate) fn config() -> AwsAccountConfig {
    AwsAccountConfig {
        role_arn: "arn:aws:iam::210987654321:role/updraft-control".into(),
        region: "eu-central-1".into(),
        subnets: vec!["subnet-0a1b2c3d".into(), "subnet-1a1b2c3d".into()],
        security_groups: Vec::new(),
        instance_profile: "updraft-node".into(),
        image: None,
        scheduler: None,
        web: None,
        worker: Some(AwsMachine {
            instance_type: "m7i.xlarge".into(),
            market: AwsMarket::Spot,
        }),
        root_volume: None,
        on_stop: None,
    }
}

pub(crate) fn accounts_page(frame: Frame) -> AwsAccountsPage {
    let refusal = "AWS does not let Updraft assume the role (AccessDenied): paste the trust policy";
    let refused = AwsAccountView {
        refusal: Some(refusal.into()),
        ..account("production", Some(config()))
    };
    AwsAccountsPage::new(frame, vec![refused, account("sandbox", None)], now())
}

pub(crate) fn account_page(frame: Frame) -> AwsAccountPage {
    let check = |name: &str, found: &str, remedy: Option<&str>| AwsCheck {
        name: name.into(),
        ok: remedy.is_none(),
        blocks: remedy.is_some(),
        found: found.into(),
        remedy: remedy.map(Into::into),
    };
    let checks = vec![
        check(
            "credentials",
            "arn:aws:sts::210987654321:assumed-role/updraft-control/prod",
            None,
        ),
        check("subnets", "2 with 4082 free addresses", None),
        check(
            "routes",
            "no way from subnet-1a1b2c3d to S3: rtb-2 has no route there",
            Some(
                "route 0.0.0.0/0 to a NAT or transit gateway, or add a gateway endpoint for s3 to the route table",
            ),
        ),
    ];
    AwsAccountPage::new(frame, account("production", Some(config())))
        .checked(AwsAccountCheck { ok: false, checks })
}
