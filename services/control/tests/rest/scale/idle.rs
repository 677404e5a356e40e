//! What many clusters cost while nothing happens, and how long a restart of control takes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use chrono::Utc;

use super::counted::Counted;
use super::growth::Cost;
use super::usage::memory_kib;
use super::world::Installation;

#[test]
#[ignore = "minutes: tests/bench/scale/run"]
fn what_many_clusters_cost() {
    let clusters = std::env::var("UPDRAFT_SCALE").map_or(100, |s| s.parse().unwrap());
    let idle = std::env::var("UPDRAFT_SCALE_IDLE_S").map_or(60, |s| s.parse().unwrap());
    let counted = Counted::new();
    let cost = counted.runtime.block_on(measure(&counted, clusters, idle));
    if let Some(figures) = std::env::var_os("UPDRAFT_SCALE_FIGURES") {
        let earlier = std::fs::read_to_string(&figures).unwrap_or_default();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(figures)
            .unwrap();
        writeln!(file, "{}", serde_json::to_string(&cost).unwrap()).unwrap();
        for fewer in earlier.lines().map(|line| serde_json::from_str(line).unwrap()) {
            cost.must_not_have_grown_since(&fewer);
        }
    }
}

async fn measure(counted: &Counted, clusters: usize, idle: u64) -> Cost {
    let installation = Installation::of(clusters).await;
    let alone = memory_kib();
    let control = installation.control();
    let first = installation.settles(0).await;
    let quiet = installation.answers(300).await;
    let looks = installation.looks().await;
    counted.take();
    let (here, postgres) = installation.load(Duration::from_secs(idle)).await;
    let asked = counted.take();
    let looks = installation.looks().await - looks;
    let nodes_heard = control.liveness.heard(Utc::now()).len();
    drop(control);
    let (reports, _) = installation.reports_alone().await;
    installation.execute("update clusters set wake_at = now()").await;
    let machines = installation.provider.machines().len();
    let before = installation.used().await;
    let control = installation.control();
    let busy = tokio::join!(installation.answers(300), installation.settles(0));
    let (here_s, postgres_s) = installation.used().await.cpu_s_since(&before);
    drop(control);
    let memory = memory_kib();
    println!(
        "{clusters} clusters, {nodes_heard} nodes heard: first looks {:.0} s; idle for {idle} s: control {here:.1} % \
         (agents' reports alone {reports:.1} %) and Postgres {postgres:.1} % of a core, {looks} looks, {} statements, {} rows; memory {} MiB, {} MiB of it \
         before control began; list p50 {:.1} p99 {:.1} ms, show p50 {:.1} p99 {:.1} ms; restarted, all looked at again after {:.0} s \
         ({here_s:.0} s of CPU, Postgres {postgres_s:.0} s), meanwhile list p99 {:.1} ms, show p99 {:.1} ms",
        first.as_secs_f64(),
        asked.times(),
        asked.rows(),
        memory / 1024,
        alone / 1024,
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
    Cost {
        clusters,
        memory_kib: memory - alone,
        statements: asked.times(),
        rows: asked.rows(),
    }
}
