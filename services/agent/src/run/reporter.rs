//! Sends reports: at each change, and at least each 5 s. Control's absence only delays them.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use updraft_api::agent::Report;

use super::happening::Happening;
use crate::control::ControlClient;

const AT_LEAST: Duration = Duration::from_secs(5);
/// Changes that come together are told together.
const TOGETHER: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(
    control: ControlClient,
    mut reports: watch::Receiver<Option<Report>>,
    tell: mpsc::UnboundedSender<Happening>,
) {
    let (mut silent, mut heard) = (false, false);
    loop {
        if let Ok(Err(_)) = timeout(AT_LEAST, reports.changed()).await {
            return;
        }
        sleep(TOGETHER).await;
        let Some(report) = reports.borrow_and_update().clone() else {
            continue;
        };
        match control.report(&report).await {
            Ok(()) => {
                silent = false;
                if !std::mem::replace(&mut heard, true) && tell.send(Happening::Heard).is_err() {
                    return;
                }
                if let Some(last) = report.events.last()
                    && tell.send(Happening::Reported(last.sequence)).is_err()
                {
                    return;
                }
            }
            Err(error) => {
                if !silent {
                    tracing::warn!(
                        error = error.chain(),
                        "Control takes no reports; services stay as they are"
                    );
                }
                silent = true;
                reports.mark_changed();
                sleep(AGAIN).await;
            }
        }
    }
}
