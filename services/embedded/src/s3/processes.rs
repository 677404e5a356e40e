//! The four processes, and which must be there before which.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use super::{S3Ports, identities};
use crate::service::{Ready, Service, StopStage};
use crate::{Account, Error, Layout, Parts, Result};

/// Volumes fill up to this before another is begun. Small, so that a deleted cluster's space comes back soon.
const VOLUME_MIB: u32 = 1024;

/// Each bucket has volumes of its own: room for very many. A volume takes space only as it fills.
const VOLUMES: u32 = 10_000;

/// Directories for each process's files, closed to all but the service's user.
pub(super) fn prepare(home: &Path, account: &Account) -> Result<()> {
    for directory in ["", "master", "volume", "filer", "run"].map(|name| home.join(name)) {
        if directory.is_dir() {
            continue;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(Error::io("make", &directory))?;
        account
            .own(&directory)
            .map_err(Error::io("give away", &directory))?;
    }
    Ok(())
}

/// Each needs the ones before. Started one by one all are up in 0.4 s; at once they wait for one another for 7 s.
pub(super) fn in_order(layout: &Layout, parts: &Parts, account: &Account, ports: S3Ports) -> [Service; 4] {
    let master_at = format!("-master=127.0.0.1:{}.{}", ports.master, ports.master_grpc);
    let filer_at = format!("-filer=127.0.0.1:{}.{}", ports.filer, ports.filer_grpc);
    let weed = |name: &str, http: u16, grpc: u16, flags: &[&str]| {
        let port_flags = [format!("-port={http}"), format!("-port.grpc={grpc}")];
        let common = ["-logtostderr=true", name, "-ip=127.0.0.1", "-ip.bind=127.0.0.1"];
        let args = common
            .iter()
            .copied()
            .chain(port_flags.iter().map(String::as_str))
            .chain(flags.iter().copied());
        service(
            layout,
            parts,
            account,
            name,
            args.map(OsString::from).collect(),
            vec![http, grpc],
        )
    };
    let size = format!("-volumeSizeLimitMB={VOLUME_MIB}");
    let most = format!("-max={VOLUMES}");
    let identities = format!("-config={}", identities::FILE);
    let master = weed(
        "master",
        ports.master,
        ports.master_grpc,
        &["-mdir=master", "-peers=none", "-telemetry=false", &size],
    );
    let volume = weed(
        "volume",
        ports.volume,
        ports.volume_grpc,
        &[
            "-dir=volume",
            &master_at,
            &most,
            "-minFreeSpace=512MiB",
            "-preStopSeconds=0",
        ],
    );
    let filer = weed(
        "filer",
        ports.filer,
        ports.filer_grpc,
        &[
            "-defaultStoreDir=filer",
            &master_at,
            "-localSocket=run/filer.sock",
            "-disableHttp",
            "-exposeDirectoryData=false",
        ],
    );
    let gateway = weed(
        "s3",
        ports.s3,
        ports.s3_grpc,
        &[
            &filer_at,
            &identities,
            "-localSocket=run/s3.sock",
            "-iam=false",
            "-autoCreateBucket=false",
            "-port.iceberg=0",
            "-port.lance=0",
        ],
    );
    [master, volume, filer, gateway]
}

fn service(
    layout: &Layout,
    parts: &Parts,
    account: &Account,
    part: &str,
    args: Vec<OsString>,
    ports: Vec<u16>,
) -> Service {
    let name = format!("s3-{part}");
    Service {
        program: parts.weed.clone(),
        args,
        env: vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("HOME".into(), layout.s3().into()),
            // One volume at a time per bucket instead of seven.
            ("WEED_MASTER_VOLUME_GROWTH_COPY_1".into(), "1".into()),
        ],
        directory: layout.s3(),
        account: account.clone(),
        log: layout.log(&name),
        ready: Ready::Ports(ports.clone()),
        ports,
        patience: Duration::from_secs(60),
        // The filer waits 15 s for its own subscription to end. What was acknowledged is with the kernel by then.
        stop: vec![StopStage::terminate(if part == "filer" { 0.5 } else { 5.0 })],
        prepare: None,
        name,
    }
}
