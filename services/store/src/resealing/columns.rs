//! Where secrets lie.

/// A column whose values are sealed.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    pub table: &'static str,
    pub column: &'static str,
    /// What its values are bound to, with `{}` for each of `bound_to`: as the table's own module says it.
    pub(super) context: &'static str,
    pub(super) bound_to: &'static [&'static str],
}

/// All of them. A test reads the schema and knows of no other.
pub const SEALED: [SealedColumn; 11] = [
    SealedColumn {
        table: "cluster_secrets",
        column: "ciphertext",
        context: "updraft/cluster/{}/{}",
        bound_to: &["cluster_id", "name"],
    },
    SealedColumn {
        table: "control_keys",
        column: "ciphertext",
        context: "updraft/control/{}",
        bound_to: &["name"],
    },
    SealedColumn {
        table: "credentials",
        column: "ciphertext",
        context: "updraft/tenant/{}/credential/{}",
        bound_to: &["tenant_id", "name"],
    },
    SealedColumn {
        table: "dag_hooks",
        column: "secret_ciphertext",
        context: "updraft/dag-hook/{}/{}",
        bound_to: &["id", "secret_turn"],
    },
    SealedColumn {
        table: "identities",
        column: "refresh_ciphertext",
        context: "updraft/identity/{}/{}/{}",
        bound_to: &["tenant_id", "issuer", "subject"],
    },
    SealedColumn {
        table: "identity_providers",
        column: "secret_ciphertext",
        context: "updraft/identity-provider/{}",
        bound_to: &["id"],
    },
    SealedColumn {
        table: "mail_outbox",
        column: "link_ciphertext",
        context: "updraft/mail/{}",
        bound_to: &["id"],
    },
    SealedColumn {
        table: "sessions",
        column: "id_token_ciphertext",
        context: "updraft/session/{}/id-token",
        bound_to: &["id"],
    },
    SealedColumn {
        table: "sign_in_attempts",
        column: "ciphertext",
        context: "updraft/sign-in-attempt/{}",
        bound_to: &["encode(state_hash, 'hex')"],
    },
    SealedColumn {
        table: "task_secrets",
        column: "ciphertext",
        context: "updraft/tenant/{}/cluster/{}/task-secret/{}",
        bound_to: &["tenant_id", "cluster_id", "name"],
    },
    SealedColumn {
        table: "users",
        column: "totp_ciphertext",
        context: "user/{}/totp",
        bound_to: &["id"],
    },
];
