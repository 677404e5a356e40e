//! Nothing crosses tenants: every statement on what belongs to one names the tenant, or stands below with its reason.
//!
//! Which tables belong to a tenant is read from the migrations, and the statements from the source, so that neither a
//! new table nor a new query can be forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Tables without the column whose rows belong to a tenant, or to somebody, through another row.
const THROUGH_ANOTHER: [&str; 12] = [
    "changes",
    "cluster_resources",
    "cluster_secrets",
    "dag_arrivals",
    "dag_hooks",
    "dag_versions",
    "handover_codes",
    "nodes",
    "password_links",
    "saml_assertions",
    "tenants",
    "users",
];

/// Tables that are the installation's own.
const OF_THE_INSTALLATION: [&str; 5] = [
    "agent_rollouts",
    "control_keys",
    "controls",
    "edges",
    "restore_strays",
];

/// `file::function` (or a whole file) and why its statements name no tenant.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The reconciler and what nodes ask for: the cluster or node was found in a row, never named by a person.
    (
        "assignments",
        "for one node, by the identity that control gave it",
    ),
    (
        "changes",
        "names alone of what changed, for whoever keeps a picture of all tenants",
    ),
    ("known_nodes", "the sweep compares the nodes of all tenants"),
    ("leases", "the reconciler works for all tenants"),
    (
        "agent_rollouts",
        "a release goes to the nodes of all tenants, and control alone asks",
    ),
    (
        "installation_keys",
        "which of the installation's own keys the web nodes of all tenants go by, and nothing of theirs",
    ),
    ("node_agents", "of a node that its own secret names, or of all"),
    ("node_identity", "a node is who its own secret says"),
    (
        "nodes",
        "the reconciler's rows of a cluster it holds the lease of",
    ),
    (
        "operation_steps",
        "the reconciler reports on a cluster it holds the lease of",
    ),
    (
        "resources",
        "the reconciler's, of a cluster it holds the lease of",
    ),
    (
        "secrets",
        "of a cluster that the reconciler or its node's assignment is about",
    ),
    (
        "dag_hooks::find_anywhere",
        "its id is in the address; its tenant comes out of the row",
    ),
    (
        "dag_hooks::without_secret",
        "secrets of all tenants' hooks are written down once, by control itself",
    ),
    ("dag_versions::publish", "what a node reports of its own cluster"),
    ("dag_versions::read", "what a node reports of its own cluster"),
    ("dag_versions::arrive", "what a node reports of its own cluster"),
    ("dag_versions::tidy", "what a node reports of its own cluster"),
    (
        "restore_holds::confirm",
        "an operator's word about the whole installation wakes every cluster",
    ),
    (
        "role_sessions::in_use",
        "sessions of all tenants' roles are renewed by one task",
    ),
    (
        "schedules::find_due",
        "schedules are followed for all tenants; each row says whose it is",
    ),
    (
        "idleness::find_due",
        "idle clusters are looked for over all tenants; each row says whose it is",
    ),
    (
        "idleness::note_uses",
        "edges serve all tenants; they know clusters by their ids",
    ),
    (
        "log_sweeps::claim",
        "old logs are removed for all tenants; each row says whose it is",
    ),
    (
        "node_accounts",
        "the provider's, who has the nodes of all tenants; each row says whose it is",
    ),
    // Edges.
    (
        "access_rules::of_all_tenants",
        "the one picture of all tenants that edges decide by",
    ),
    ("routes", "the one picture of all tenants that edges decide by"),
    (
        "edge_refusals",
        "edges refuse for all tenants; each row says in whose log it belongs",
    ),
    (
        "api_tokens::list_pushed",
        "edges know the tokens of all tenants; each comes with its own",
    ),
    (
        "api_tokens::note_uses",
        "an edge tells which tokens it saw, of whatever tenant",
    ),
    ("api_tokens::delete_dead", "tidying, for all tenants"),
    (
        "device_authorizations",
        "nobody's until somebody signed in decides; codes name them, and `decide` writes the tenant down",
    ),
    ("sessions::set_origin", "a session that was just opened"),
    ("sessions::note_use", "one's own session, found by its token"),
    (
        "service_accounts::insert_user",
        "an account; its membership names the tenant",
    ),
    (
        "password_links::find_live",
        "256 random bits name the link; its tenant comes with it",
    ),
    (
        "password_links::use_up",
        "one's own links, which one used or made worthless",
    ),
    ("password_links::delete_expired", "tidying, for all tenants"),
    (
        "password_links::lock_account",
        "of whoever an operator helps: an account is above tenants",
    ),
    (
        "password_links::lock_for_mail",
        "somebody forgot a password, before there is a tenant",
    ),
    (
        "password_links::count_mailed",
        "one's own links, which went to one's own address",
    ),
    (
        "password_links::find_live_mailed",
        "256 random bits name the link; its tenant comes with it",
    ),
    (
        "mail_outbox",
        "one queue for the whole installation; what a person asked for, and what is mailed to that person alone",
    ),
    (
        "sessions::insert_like",
        "of a session that was found by its token: the tenant, person and provider are its own",
    ),
    (
        "sessions::revoke_of",
        "a new password ends the person's sessions wherever they are",
    ),
    (
        "second_factors",
        "one's own, or an account that is the tenant's alone",
    ),
    ("sessions::revoked", "edges refuse what ended, whosever it was"),
    (
        "handover_codes",
        "256 random bits name the session; its tenant comes with it",
    ),
    // Whoever holds the secret is whom it was given to: the tenant comes out of the row.
    (
        "api_tokens::find_live",
        "256 random bits name the token; its tenant comes with it",
    ),
    (
        "api_tokens::find_live_by_id",
        "of a token that was found by its secret",
    ),
    (
        "sessions::find_by_token",
        "256 random bits name the session; its tenant comes with it",
    ),
    (
        "sessions::find_by_id",
        "of a session that was found by its token or a signed claim",
    ),
    ("sessions::revoke", "one's own session, found by its token"),
    (
        "sessions::revoke_others",
        "one's own sessions, in all tenants: the password is the same",
    ),
    // Local accounts are good in every tenant that invited them.
    (
        "people::insert_user",
        "an account; its membership names the tenant",
    ),
    ("people::password_record", "signing in, before there is a tenant"),
    ("people::password_hash", "signing in, before there is a tenant"),
    ("people::set_password_hash", "one's own account"),
    (
        "people::tenant_of_address",
        "whose account somebody claims: that tenant is shown the refusal, nobody else anything",
    ),
    (
        "people::home_tenant",
        "signing in: which tenants there are for this person",
    ),
    (
        "people::remove_member",
        "an account without any membership left is forgotten",
    ),
    (
        "memberships::of_person",
        "which tenants there are for this person",
    ),
    (
        "scim_users::insert_person",
        "an account; its membership, made with it, names the tenant",
    ),
    (
        "identities::insert_directory_user",
        "an account; its membership, made with it, names the tenant",
    ),
    // Signing in through a provider begins before there is a tenant.
    (
        "domains::provider_of",
        "which tenant has proven a domain: what sign-in begins with",
    ),
    (
        "identity_providers::find_anywhere",
        "its id is in the address; its tenant comes out of the row",
    ),
    (
        "saml_assertions",
        "of a provider that the response was verified for, and what has expired",
    ),
    (
        "sign_in_attempts::take",
        "256 random bits name the attempt; its tenant comes out of the row",
    ),
    (
        "sign_in_attempts::why_unusable",
        "256 random bits name the attempt; only why it failed comes out",
    ),
    (
        "provider_sessions::vouch",
        "the session that was made in the same transaction",
    ),
    (
        "provider_sessions::revoke",
        "sessions of one provider, which belongs to one tenant",
    ),
    // The installation and its operator.
    ("operators::set", "on the control host, by the installation"),
    ("operators::list", "on the control host, by the installation"),
    (
        "tenancy::list",
        "the operator's, who sees numbers and names of tenants",
    ),
    (
        "tenancy::count",
        "the installation's and the operator's: how many tenants there are",
    ),
    ("tenants::insert", "the tenant itself"),
    (
        "tenants::find_by_name",
        "the installation's own, for the tenant that `up` makes",
    ),
    // In the background, for all tenants.
    (
        "audit_exports",
        "the log is copied to object storage for all tenants; each has objects of its own",
    ),
    (
        "domains::seen_before",
        "proofs are looked at again, of all tenants",
    ),
    (
        "event_log::newest",
        "where a stream begins: a number, nothing of what happened",
    ),
    (
        "identities::take_due",
        "providers are asked again, of all tenants",
    ),
    ("sign_in_attempts::delete_expired", "tidying, for all tenants"),
    ("sessions::delete_expired", "tidying, for all tenants"),
    ("idempotency_keys::delete_older", "tidying, for all tenants"),
];

struct Statement {
    /// `people::insert_user`
    place: String,
    sql: String,
}

#[test]
fn every_statement_on_what_belongs_to_a_tenant_names_the_tenant() {
    let owned = owned_tables();
    let exceptions: BTreeMap<_, _> = EXCEPTIONS.iter().copied().collect();
    assert_eq!(exceptions.len(), EXCEPTIONS.len(), "an exception stands twice");
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for statement in statements() {
        let touched: Vec<_> = tables_of(&statement.sql).intersection(&owned).cloned().collect();
        if touched.is_empty() || is_scoped(&statement.sql) || is_the_tenants_own_row(&statement.sql) {
            continue;
        }
        let file = statement.place.split("::").next().unwrap_or_default();
        match [statement.place.as_str(), file]
            .into_iter()
            .find(|name| exceptions.contains_key(name))
        {
            Some(name) => {
                used.insert(name.to_owned());
            }
            None => wrong.push(format!(
                "{} on {touched:?}:\n    {}",
                statement.place, statement.sql
            )),
        }
    }
    assert!(
        wrong.is_empty(),
        "These statements reach every tenant's rows. Add `tenant_id = $n`, or a line with the reason to EXCEPTIONS:\n{}",
        wrong.join("\n")
    );
    let unused: Vec<_> = exceptions.keys().filter(|name| !used.contains(**name)).collect();
    assert!(
        unused.is_empty(),
        "nothing needs these exceptions any more: {unused:?}"
    );
}

#[test]
fn no_statement_is_put_together_from_text() {
    for (path, source) in sources() {
        // Names of databases and roles on the metadata server cannot be parameters: quoted there, in one place. Sealed
        // columns are a list in the source.
        let of_metadata = path.parent().is_some_and(|parent| stem(parent) == "metadata");
        if of_metadata || ["metadata", "rows", "template", "testing"].contains(&stem(&path).as_str()) {
            continue;
        }
        for way_round in [
            "AssertSqlSafe",
            "QueryBuilder",
            "sqlx::query(",
            "sqlx::query_as(",
            "raw_sql",
        ] {
            assert!(!source.contains(way_round), "{} uses {way_round}", path.display());
        }
    }
}

#[test]
fn a_statement_without_a_tenant_is_noticed() {
    assert!(!is_scoped("select name from clusters where id = $1"));
    assert!(!is_scoped("select tenant_id, name from clusters where id = $1"));
    assert!(!is_scoped(
        "select 1 from clusters c join operations o on o.tenant_id = c.tenant_id"
    ));
    assert!(!is_scoped("insert into events (message) values ($1)"));
    assert!(is_scoped(
        "select name from clusters where tenant_id = $1 and id = $2"
    ));
    assert!(is_scoped("delete from clusters where id = $1 and tenant_id=$2"));
    assert!(is_the_tenants_own_row(
        "select name from tenants t where t.id = $1"
    ));
    assert!(!is_the_tenants_own_row("select name from clusters where id = $1"));
    assert!(is_scoped(
        "insert into events (tenant_id, message) values ($1, $2)"
    ));
    assert_eq!(
        literal_in(r#"query!("select a as \"b!\" from c", x, "d")"#),
        r#"select a as "b!" from c"#
    );
    assert_eq!(
        tables_of("select 1 from a left join b on true; update c set x = (select y from d), z = 1"),
        ["a", "b", "c", "d"].map(str::to_owned).into()
    );
}

/// For an insert: the column is given. Else: it is compared with what the caller said.
fn is_scoped(sql: &str) -> bool {
    let squeezed: String = sql.chars().filter(|c| !c.is_whitespace()).collect();
    let written = squeezed.split([')']).next().unwrap_or_default();
    // What is taken from rows of other tables is as wide as the look-up is.
    let of_values = sql.starts_with("insert into") && !squeezed.contains(")select");
    if of_values && (written.contains("(tenant_id") || written.contains(",tenant_id")) {
        return true;
    }
    squeezed.match_indices("tenant_id=$").any(|(at, _)| {
        let before =
            squeezed[..at].trim_end_matches(|c: char| c == '.' || c == '_' || c.is_ascii_lowercase());
        let condition = &squeezed[before.len()..at];
        // One that may be left out scopes nothing.
        !condition.contains("isnullor")
    })
}

/// In `tenants` the tenant's column is `id`.
fn is_the_tenants_own_row(sql: &str) -> bool {
    let words: Vec<_> = sql.split_whitespace().collect();
    let of_tenants = words
        .windows(2)
        .any(|pair| matches!(pair, ["from" | "update", "tenants"]));
    of_tenants && (sql.contains("where id = $1") || sql.contains("where t.id = $1"))
}

fn tables_of(sql: &str) -> BTreeSet<String> {
    let words: Vec<&str> = sql
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .filter(|pair| ["from", "join", "into", "update"].contains(&pair[0]))
        .map(|pair| pair[1].to_owned())
        .collect()
}

/// Every table of the migrations but the installation's own.
fn owned_tables() -> BTreeSet<String> {
    let mut owned = BTreeSet::new();
    for (path, text) in texts(&here().join("../../migrations"), "sql") {
        for part in text.split("create table ").skip(1) {
            let name = part.split_whitespace().next().unwrap_or_default().to_owned();
            let body = part.split("\n);").next().unwrap_or_default();
            let known = body.contains("tenant_id")
                || THROUGH_ANOTHER.contains(&name.as_str())
                || OF_THE_INSTALLATION.contains(&name.as_str());
            assert!(
                known,
                "{}: whose is `{name}`? Name it in this test",
                path.display()
            );
            if !OF_THE_INSTALLATION.contains(&name.as_str()) {
                owned.insert(name);
            }
        }
    }
    owned
}

/// The first string of a source; an escaped quotation mark does not end it.
fn literal_in(source: &str) -> String {
    let inside = source.split_once('"').map_or("", |(_, inside)| inside);
    let mut literal = String::new();
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => literal.extend(characters.next()),
            other => literal.push(other),
        }
    }
    literal
}

fn statements() -> Vec<Statement> {
    let mut found = Vec::new();
    for (path, source) in sources() {
        let macros = ["query!(", "query_scalar!(", "query_as!("];
        for start in macros.iter().flat_map(|name| source.match_indices(name)) {
            let (before, after) = source.split_at(start.0);
            let function = before.rsplit("fn ").next().unwrap_or_default();
            let function: String = function
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let literal = literal_in(after);
            // Raw strings hold quotation marks: those of column names.
            let sql = match after.find("r#\"") {
                Some(raw) if after.find('"').is_some_and(|quote| quote == raw + 2) => {
                    after[raw + 3..].split("\"#").next().unwrap_or_default()
                }
                _ => literal.as_str(),
            };
            let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                !sql.is_empty(),
                "{}: a statement that this test cannot read",
                path.display()
            );
            found.push(Statement {
                place: format!("{}::{function}", stem(&path)),
                sql,
            });
        }
    }
    assert!(found.len() > 100, "only {} statements were found", found.len());
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    texts(&here().join("src"), "rs")
}

fn texts(directory: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut all = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            all.extend(texts(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            all.push((path, text));
        }
    }
    assert!(!all.is_empty(), "{} holds nothing to read", directory.display());
    all.sort();
    all
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
