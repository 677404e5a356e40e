//! `updraft operator agents`: how far another agent has got on its way to the nodes, and going on after one failed.

use serde_json::json;
use updraft_app::audit::{By, Change, Target, besides};
use updraft_store::agent_rollouts::{self, AgentRollout, Failed, Progress};
use updraft_store::{Store, StoreError};

/// # Errors
/// When the database cannot be asked.
pub(crate) async fn run(store: &Store, again: bool) -> anyhow::Result<()> {
    let mut tx = store.begin().await?;
    let Some(release) = agent_rollouts::agreed(&mut tx).await? else {
        println!(
            "Nodes run the agents that they came with: no process of control runs that names one, or they do not name the same."
        );
        return Ok(());
    };
    let rollout = agent_rollouts::hold(&mut tx, &release).await?;
    let progress = agent_rollouts::progress(&mut tx, &release).await?;
    let failed = agent_rollouts::failures(&mut tx, (&release, rollout.attempt)).await?;
    print!("{}", told(&rollout, progress, &failed));
    if again && agent_rollouts::resume(&mut tx, &release).await? {
        let change =
            Change::made(json!({"user_of_the_machine": nix::unistd::getuid().as_raw(), "release": release}));
        besides("agents.resume")
            .on(Target::new("agent", &release, None))
            .done(&mut tx, By::system(None), change)
            .await?;
        println!("It goes on, with one node.");
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

fn told(rollout: &AgentRollout, progress: Progress, failed: &[Failed]) -> String {
    let Progress { done, others, silent } = progress;
    let mut text = format!(
        "Nodes are to run the agent {}: {done} do, {others} do not.\n",
        rollout.release
    );
    if silent > 0 {
        text.push_str(&format!(
            "{silent} of them have agents that do not say which they are: those come with new nodes (stop and start their clusters).\n"
        ));
    }
    for Failed {
        cluster, node, why, ..
    } in failed
    {
        text.push_str(&format!(
            "Cluster {cluster} is left with what it has, by its node {node}: {why}\n"
        ));
    }
    if rollout.stopped.is_none() && !failed.is_empty() {
        text.push_str("It goes on elsewhere; `updraft operator agents --again` tries these again, too.\n");
    }
    if let Some(stopped) = &rollout.stopped {
        let node = stopped
            .node
            .map(|node| format!(" by node {node}"))
            .unwrap_or_default();
        text.push_str(&format!(
            "Stopped{node} at {}: {}\n`updraft operator agents --again` goes on.\n",
            stopped.at, stopped.why
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use updraft_store::agent_rollouts::Stopped;

    use super::*;

    #[test]
    fn what_stopped_it_is_told_with_what_to_do() {
        let stopped = Stopped {
            at: "2026-11-22T18:00:00Z".parse().unwrap(),
            node: None,
            why: "It hangs.".to_owned(),
        };
        let rollout = AgentRollout {
            release: "3f9a".to_owned(),
            attempt: 1,
            stopped: Some(stopped),
        };
        let progress = Progress {
            done: 3,
            others: 2,
            silent: 1,
        };
        let failed = Failed {
            tenant: updraft_model::TenantId(uuid::Uuid::nil()),
            cluster: updraft_model::ClusterId(12),
            node: updraft_model::NodeId(uuid::Uuid::nil()),
            why: "It ended.".to_owned(),
        };
        let told = told(&rollout, progress, &[failed]);
        for words in [
            "3 do, 2 do not",
            "1 of them",
            "It hangs.",
            "--again",
            "Cluster 12",
            "It ended.",
        ] {
            assert!(told.contains(words), "{told}");
        }
    }
}
