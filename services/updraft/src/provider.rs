//! `updraft provider`: asks the cloud by the installation's configuration, and makes nothing there.

use anyhow::Context as _;
use updraft_aws::ExternalId;
use updraft_provider_ec2::{Check, Ec2Config, Ec2Provider, Preflight};

use crate::cli::args::Format;
use crate::cli::provider::ProviderCommand;
use crate::config;

/// # Errors
/// When the configuration cannot be right, or a check fails: each was printed then.
pub(crate) async fn run(command: &ProviderCommand, output: Format) -> anyhow::Result<()> {
    match command {
        ProviderCommand::ExternalId => {
            println!("{}", ExternalId::generate());
            Ok(())
        }
        ProviderCommand::Check(args) => {
            let config: Ec2Config = config::read(&args.config)?;
            let provider = Ec2Provider::open(config)
                .with_context(|| format!("{} cannot be right", args.config.display()))?;
            let found = provider.preflight().await;
            match output {
                Format::Json => println!("{}", serde_json::to_string_pretty(&found)?),
                Format::Table => found.checks.iter().for_each(|check| println!("{}", line(check))),
            }
            verdict(&found)
        }
    }
}

fn line(check: &Check) -> String {
    let mark = match (check.ok, check.blocks) {
        (true, _) => "ok    ",
        (false, true) => "FAILED",
        (false, false) => "look  ",
    };
    let line = format!("{mark}  {}: {}", check.name, check.found);
    match &check.remedy {
        Some(remedy) => format!("{line}\n        → {remedy}"),
        None => line,
    }
}

fn verdict(found: &Preflight) -> anyhow::Result<()> {
    match found.blocking().count() {
        0 => Ok(()),
        1 => anyhow::bail!("one check failed: no node can start until it is corrected"),
        failed => anyhow::bail!("{failed} checks failed: no node can start until they are corrected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_comes_with_what_to_do() {
        let check = Check {
            name: "image".to_owned(),
            ok: false,
            blocks: true,
            found: "there is no image".to_owned(),
            remedy: Some("correct `image`".to_owned()),
        };
        assert_eq!(
            line(&check),
            "FAILED  image: there is no image\n        → correct `image`"
        );
        let found = Preflight { checks: vec![check] };
        assert!(verdict(&found).is_err() && verdict(&Preflight { checks: Vec::new() }).is_ok());
    }
}
