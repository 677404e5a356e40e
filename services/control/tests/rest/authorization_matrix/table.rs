//! The table itself: what each operation of the OpenAPI document answers to whom.

use super::Caller;

/// What a signed-in caller is answered.
#[derive(Clone, Copy)]
pub(super) struct Expect {
    /// Owner of another tenant.
    stranger: u16,
    /// Member of the tenant without a grant.
    ungranted: u16,
    user: u16,
    admin: u16,
    owner: u16,
}

pub(super) enum Rule {
    /// Anyone, whatever they send along, is answered with this.
    Public(u16),
    SignedIn(Expect),
    /// The same, but for sessions alone: API tokens are refused.
    SessionAlone(Expect),
    /// Operators of the installation, in a session of their own.
    Operators(u16),
}

/// One row per operation of the OpenAPI document.
pub(super) fn rule(operation: &str) -> Option<Rule> {
    let everyone = |status| Expect {
        stranger: status,
        ungranted: status,
        user: status,
        admin: status,
        owner: status,
    };
    let viewers = |status| Expect {
        stranger: 404,
        ungranted: 404,
        ..everyone(status)
    };
    let admins = |status| Expect {
        user: 403,
        ..viewers(status)
    };
    let owners = |status| Expect {
        ungranted: 403,
        user: 403,
        admin: 403,
        ..everyone(status)
    };
    Some(match operation {
        "sign_in" => Rule::Public(201),
        // No such link.
        "set_password" => Rule::Public(403),
        // The same for every address.
        "forgot_password" => Rule::Public(202),
        "show_second_factor" => Rule::SignedIn(everyone(200)),
        "begin_second_factor" => Rule::SessionAlone(everyone(201)),
        // Nobody's code.
        "confirm_second_factor" => Rule::SessionAlone(everyone(422)),
        "remove_second_factor" => Rule::SessionAlone(everyone(204)),
        "create_password_link" => Rule::SessionAlone(Expect {
            stranger: 404,
            ..owners(201)
        }),
        "remove_persons_second_factor" => Rule::SessionAlone(Expect {
            stranger: 404,
            ..owners(204)
        }),
        "health" | "openapi" | "docs" => Rule::Public(200),
        "authorize_device" => Rule::Public(200),
        // Nobody has such a device code.
        "poll_device" => Rule::Public(400),
        "sign_out" | "change_password" => Rule::SessionAlone(everyone(204)),
        "list_sessions" | "revoke_sessions" => Rule::SessionAlone(everyone(200)),
        "create_token" => Rule::SessionAlone(everyone(201)),
        "revoke_session" | "revoke_token" => Rule::SessionAlone(Expect {
            owner: 204,
            ..everyone(404)
        }),
        "list_tokens" => Rule::SignedIn(everyone(200)),
        "list_service_accounts" => Rule::SignedIn(owners(200)),
        "create_service_account" => Rule::SignedIn(owners(201)),
        "delete_service_account" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(204)
        }),
        "show_me" | "list_clusters" | "list_config_options" => Rule::SignedIn(everyone(200)),
        "show_cluster" | "list_nodes" | "list_services" | "list_operations" | "show_operation"
        | "list_events" | "watch_events" => Rule::SignedIn(viewers(200)),
        "update_cluster"
        | "delete_cluster"
        | "start_cluster"
        | "stop_cluster"
        | "restart_cluster"
        | "rotate_keys"
        | "change_service"
        | "change_task_secrets" => Rule::SignedIn(admins(202)),
        "list_task_secrets" => Rule::SignedIn(admins(200)),
        "list_grants" | "put_grant" | "list_cluster_people" => Rule::SignedIn(admins(200)),
        // About oneself: what it says of others is for admins alone.
        "explain_access" => Rule::SignedIn(viewers(200)),
        "remove_grant" => Rule::SignedIn(admins(204)),
        // A stranger makes a cluster, lists and adds people, in their own tenant.
        "create_cluster" => Rule::SignedIn(owners(202)),
        "list_people" | "list_audit" | "export_audit" | "list_access_rules" => Rule::SignedIn(owners(200)),
        "list_tenants" | "show_tenant" | "update_tenant" => Rule::Operators(200),
        "create_tenant" | "help_with_password" => Rule::Operators(201),
        "delete_tenant" | "help_with_second_factor" => Rule::Operators(204),
        "list_my_tenants" => Rule::SignedIn(everyone(200)),
        // The owner belongs there; nobody else does.
        "switch_tenant" => Rule::SessionAlone(Expect {
            owner: 201,
            ..everyone(404)
        }),
        "list_identity_providers" | "list_domains" | "show_sign_in_rules" | "update_sign_in_rules" => {
            Rule::SignedIn(owners(200))
        }
        "create_identity_provider" | "add_domain" => Rule::SignedIn(owners(201)),
        "show_identity_provider"
        | "update_identity_provider"
        | "test_identity_provider"
        | "enable_identity_provider"
        | "disable_identity_provider"
        | "update_domain"
        | "check_domain" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(200)
        }),
        "delete_identity_provider" | "remove_domain" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(204)
        }),
        "list_aws_accounts" => Rule::SignedIn(owners(200)),
        "create_aws_account" => Rule::SignedIn(owners(201)),
        "show_aws_account"
        | "update_aws_account"
        | "check_aws_account"
        | "make_next_external_id"
        | "use_next_external_id" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(200)
        }),
        "delete_aws_account" | "drop_next_external_id" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(204)
        }),
        "list_credentials" => Rule::SignedIn(owners(200)),
        "create_credential" => Rule::SignedIn(owners(201)),
        "replace_credential" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(200)
        }),
        "delete_credential" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(204)
        }),
        // Without a DAG these are the services' logs.
        "list_logs" | "watch_logs" | "show_boot_log" => Rule::SignedIn(admins(200)),
        "show_dags" | "list_dag_versions" => Rule::SignedIn(viewers(200)),
        "sync_dags" | "rollback_dags" | "follow_dags" | "push_dags" => Rule::SignedIn(admins(202)),
        "list_dag_hooks" | "put_dag_hook" => Rule::SignedIn(admins(200)),
        "delete_dag_hook" => Rule::SignedIn(admins(204)),
        // Whoever signs in is no git server: the call is not signed.
        "call_dag_hook" => Rule::Public(403),
        "create_access_rule" => Rule::SignedIn(owners(201)),
        "delete_access_rule" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(204)
        }),
        "change_person" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(200)
        }),
        "add_person" => Rule::SignedIn(owners(201)),
        "remove_person" => Rule::SignedIn(Expect {
            stranger: 404,
            ..owners(204)
        }),
        _ => return None,
    })
}

pub(super) fn expected(rule: &Rule, caller: Caller) -> u16 {
    let expect = match rule {
        Rule::Public(status) => return *status,
        Rule::SignedIn(expect) | Rule::SessionAlone(expect) => expect,
        Rule::Operators(status) if caller == Caller::Operator => return *status,
        Rule::Operators(_) => &Expect {
            stranger: 403,
            ungranted: 403,
            user: 403,
            admin: 403,
            owner: 403,
        },
    };
    let is_token = matches!(caller, Caller::FullToken | Caller::AdminToken | Caller::UserToken);
    if is_token && matches!(rule, Rule::SessionAlone(_)) {
        return 403;
    }
    match caller {
        Caller::Stranger => expect.stranger,
        Caller::Ungranted | Caller::GroupElsewhere => expect.ungranted,
        Caller::User | Caller::UserByGroup | Caller::UserToken => expect.user,
        Caller::Admin | Caller::AdminByGroup | Caller::AdminToken => expect.admin,
        Caller::Owner | Caller::OwnersCookie | Caller::FullToken | Caller::Operator => expect.owner,
        Caller::Nobody
        | Caller::Expired
        | Caller::Forged
        | Caller::Revoked
        | Caller::Removed
        | Caller::ExpiredToken
        | Caller::RevokedToken => 401,
        Caller::CookieFromOtherOrigin | Caller::CookieFromOtherSite | Caller::ScimToken => 403,
    }
}
