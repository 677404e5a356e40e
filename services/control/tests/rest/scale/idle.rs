//! What many clusters cost while nothing happens, and how long a restart of control takes.

use std::time::Duration;

use chrono::Utc;

use super::usage::memory_mib;
use super::world::Installation;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: tests/bench/scale/run"]
async fn what_many_clusters_cost() {
    let sizes = std::env::var("UPDRAFT_SCALE").unwrap_or_else(|_| "100".to_owned());
    let idle = std::env::var("UPDRAFT_SCALE_IDLE_S").map_or(60, |s| s.parse().unwrap());
    for clusters in sizes.split(',').map(|size| size.parse().unwrap()) {
        let installation = Installation::of(clusters).await;
        let alone = memory_mib();
        let control = installation.control();
        let first = installation.settles(0).await;
        let quiet = installation.answers(300).await;
        let looks = installation.looks().await;
        let (here, postgres) = installation.load(Duration::from_secs(idle)).await;
        let looks = installation.looks().await - looks;
        let nodes_heard = control.liveness.heard(Utc::now()).len();
        drop(control);
        let (reports, _) = installation.reports_alone().await;
        installation.execute("update clusters set wake_at = now()").await;
        let machines = installation.provider.machines().len();
        let control = installation.control();
        let busy = tokio::join!(installation.answers(300), installation.settles(0));
        drop(control);
        println!(
            "{clusters} clusters, {nodes_heard} nodes heard: first looks {:.0} s; idle for {idle} s: control {here:.1} % \
             (agents' reports alone {reports:.1} %) and Postgres {postgres:.1} % of a core, {looks} looks; memory {} MiB, {alone} MiB of it before control began; list p50 {:.1} p99 {:.1} ms, show p50 {:.1} \
             p99 {:.1} ms; restarted, all looked at again after {:.0} s, meanwhile list p99 {:.1} ms, show p99 {:.1} ms",
            first.as_secs_f64(),
            memory_mib(),
            quiet[0],
            quiet[1],
            quiet[2],
            quiet[3],
            busy.1.as_secs_f64(),
            busy.0[1],
            busy.0[3],
        );
        assert_eq!(
            installation.provider.machines().len(),
            machines,
            "a node was launched anew"
        );
        assert_eq!(installation.provider.live().len(), machines, "a node was ended");
    }
}
