//! Brings everything up in a directory, says how long each step took, and stops it in order on Ctrl-C.
//!
//! `cargo run -p updraft-embedded --example bring_up -- <directory> <port base> [requirements.lock]`

use std::time::Duration;

use updraft_embedded::{
    Accounts, DataDir, EnvironmentSpec, Error, Postgres, PostgresSettings, Progress, S3, S3Ports,
    install_environment, install_installer, install_parts,
};

struct Printed;

impl Progress for Printed {
    fn started(&self, step: &str) {
        println!("{step} …");
    }

    fn advanced(&self, _step: &str, _fraction: Option<f32>, message: &str) {
        println!("    {message}");
    }

    fn finished(&self, step: &str, took: Duration, already_done: bool) {
        let note = if already_done { ", was there" } else { "" };
        println!("{step}: {:.2} s{note}", took.as_secs_f32());
    }
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    if let Err(error) = bring_up().await {
        println!("error: {error}");
        std::process::exit(1);
    }
}

async fn bring_up() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let directory = args.next().unwrap_or_else(|| "/tmp/updraft-bring-up".into());
    let base = args.next().and_then(|text| text.parse().ok()).unwrap_or(21_200);
    let lock = args.next().and_then(|path| std::fs::read_to_string(path).ok());

    let data = DataDir::open(directory.as_ref())?;
    let layout = data.layout();
    let account = Accounts::detect().ensure_user("updraft").await?;
    let installer = install_installer(layout, &Printed).await?;
    let environment = async {
        match &lock {
            Some(lock) => {
                let spec = EnvironmentSpec {
                    name: "airflow",
                    lock,
                    files: &[],
                };
                install_environment(layout, &installer, spec, &Printed)
                    .await
                    .map(Some)
            }
            None => Ok(None),
        }
    };
    let services = async {
        let parts = install_parts(layout, &installer, &Printed).await?;
        let settings = |name: &str, port, max_connections| PostgresSettings {
            name: name.into(),
            port,
            max_connections,
            shared_buffers_mib: 64,
        };
        let (control, metadata) = (
            settings("control", base, 100),
            settings("metadata", base + 1, 300),
        );
        tokio::try_join!(
            Postgres::start(layout, &parts, &account, &control, &Printed),
            Postgres::start(layout, &parts, &account, &metadata, &Printed),
            S3::start(layout, &parts, &account, S3Ports::starting_at(base + 2), &Printed),
        )
    };
    let (environment, (control, metadata, s3)) = tokio::try_join!(environment, services)?;
    println!(
        "up: S3 at {}, environment {environment:?}; Ctrl-C stops",
        s3.endpoint()
    );
    if tokio::signal::ctrl_c().await.is_err() {
        println!("no signals here: stopping at once");
    }
    let begun = std::time::Instant::now();
    s3.stop().await?;
    metadata.stop().await?;
    control.stop().await?;
    println!("stopped in {:.2} s", begun.elapsed().as_secs_f32());
    Ok(())
}
