//! Access rules, who has access to a cluster, and why.

use reqwest::Method;
use updraft_api::access::{AccessExplanation, AccessRuleView, ChangePerson, ClusterPerson, NewAccessRule};
use updraft_api::rest::Person;
use updraft_model::{ClusterId, RuleId, TenantRole, UserId};

use crate::call::Call;
use crate::{Client, ClientError};

impl Client {
    /// `GET /access-rules`, all pages.
    pub async fn access_rules(&self) -> Result<Vec<AccessRuleView>, ClientError> {
        self.all(|cursor| Call::get("access-rules").query("cursor", cursor))
            .await
    }

    /// `POST /access-rules`
    pub async fn create_access_rule(&self, new: &NewAccessRule) -> Result<AccessRuleView, ClientError> {
        self.fetch(Call::post("access-rules").json(new)).await
    }

    /// `DELETE /access-rules/{rule}`
    pub async fn delete_access_rule(&self, rule: RuleId) -> Result<(), ClientError> {
        self.perform(Call::new(Method::DELETE, format!("access-rules/{rule}")))
            .await
    }

    /// `GET /clusters/{id}/access`: about oneself without `user`.
    pub async fn explain_access(
        &self,
        cluster: ClusterId,
        user: Option<UserId>,
    ) -> Result<AccessExplanation, ClientError> {
        self.fetch(Call::get(format!("clusters/{cluster}/access")).query("user", user))
            .await
    }

    /// `GET /clusters/{id}/people`, all pages: those whose name or address contains `query`.
    pub async fn cluster_people(
        &self,
        cluster: ClusterId,
        query: Option<&str>,
        with_role: bool,
    ) -> Result<Vec<ClusterPerson>, ClientError> {
        self.all(|cursor| {
            Call::get(format!("clusters/{cluster}/people"))
                .query("query", query)
                .query("with_role", Some(with_role))
                .query("cursor", cursor)
        })
        .await
    }

    /// `PATCH /people/{user}`
    pub async fn change_person(&self, user: UserId, tenant_role: TenantRole) -> Result<Person, ClientError> {
        let call = Call::new(Method::PATCH, format!("people/{user}"));
        self.fetch(call.json(&ChangePerson { tenant_role })).await
    }
}
