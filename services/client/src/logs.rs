//! Logs: pages of lines, and lines as they are written, going on where the stream broke off.

use chrono::{DateTime, SecondsFormat, Utc};
use futures::Stream;
use updraft_api::logs::{LogLine, LogOrder, LogPage, LogQuery};
use updraft_model::ClusterId;

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /clusters/{id}/logs`: one page.
    pub async fn logs(&self, cluster: ClusterId, query: &LogQuery) -> Result<LogPage, ClientError> {
        self.fetch(asked(Call::get(format!("clusters/{cluster}/logs")), query))
            .await
    }

    /// `GET /clusters/{id}/logs/stream`. Reconnects for ever; ends only with an error that no waiting can mend.
    pub fn follow_logs(
        &self,
        cluster: ClusterId,
        query: &LogQuery,
    ) -> impl Stream<Item = Result<LogLine, ClientError>> + Send + use<> {
        let call = Call::get(format!("clusters/{cluster}/logs/stream"));
        self.follow(asked(call, query), None)
    }
}

fn asked(call: Call, query: &LogQuery) -> Call {
    let order = query.order.map(|order| match order {
        LogOrder::Newest => "newest",
        LogOrder::Oldest => "oldest",
    });
    call.query("service", query.service.clone())
        .query("node", query.node.clone())
        .query("dag", query.dag.clone())
        .query("run", query.run.clone())
        .query("task", query.task.clone())
        .query("map_index", query.map_index)
        .query("attempt", query.attempt)
        .query("since", query.since.map(time))
        .query("until", query.until.map(time))
        .query("search", query.search.clone())
        .query("order", order)
        .query("limit", query.limit)
        .query("cursor", query.cursor.clone())
        .query("tail", query.tail)
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
