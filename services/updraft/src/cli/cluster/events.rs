//! `updraft cluster events`

use clap::Args;
use futures::StreamExt as _;
use updraft_api::rest::{EventView, Severity};
use updraft_client::{Client, EventFilter};

use crate::cli::args::{Format, Global};
use crate::cli::error::CliError;
use crate::cli::{output, resolve};

#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Name or id
    cluster: String,
    /// Go on as events happen, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many past events to show, 1 to 200
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

pub(super) async fn events(client: &Client, args: &EventsArgs, global: &Global) -> Result<(), CliError> {
    let cluster = resolve::cluster(client, &args.cluster).await?.id;
    let mut past = client.past_events(cluster, args.limit).await?;
    past.sort_by_key(|event| event.id);
    for event in &past {
        print(event, global.output)?;
    }
    if !args.follow {
        return Ok(());
    }
    let after = past.last().map(|event| event.id);
    let mut stream = std::pin::pin!(client.events(EventFilter {
        cluster: Some(cluster),
        after
    }));
    while let Some(event) = stream.next().await {
        print(&event?, global.output)?;
    }
    Ok(())
}

/// One line each, also as JSON: a stream has no end to close a list with.
fn print(event: &EventView, format: Format) -> Result<(), CliError> {
    match format {
        Format::Json => output::json_line(event),
        Format::Table => output::print(&line(event)),
    }
}

fn line(event: &EventView) -> String {
    let severity = match event.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let place: Vec<_> = event
        .node_label
        .iter()
        .cloned()
        .chain(event.service.map(|name| name.to_string()))
        .collect();
    let place = if place.is_empty() {
        String::new()
    } else {
        format!("{}: ", place.join("/"))
    };
    format!(
        "{}  {severity:<7}  {place}{}",
        event.at.format("%Y-%m-%d %H:%M:%SZ"),
        event.message
    )
}
