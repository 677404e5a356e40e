//! `updraft operator`: who runs this installation. Works on the control host alone, by the database that
//! `updraft up` wrote down there: no request from outside can do what this does.

use anyhow::Context as _;
use serde_json::json;
use updraft_app::audit::{By, Change, Target, besides};
use updraft_app::{FirstOwner, Quota, install_tenant};
use updraft_embedded::Layout;
use updraft_sso::Passwords;
use updraft_store::secrets::MasterKey;
use updraft_store::{Store, StoreError, operators, restore_holds};

use crate::cli::{OperatorArgs, OperatorCommand, OperatorInit};
use crate::config::{self, ControlFile};
use crate::installation_keys::KeyTurn;
use crate::master_key::Exchange;
use crate::operator_agents;
use crate::up::config_file;

/// Of the first tenant; an operator changes it.
const QUOTA: Quota = Quota {
    max_clusters: 20,
    max_nodes: 100,
};

/// # Errors
/// When there is no installation, its database does not run, or there is no such account.
pub(crate) async fn run(args: &OperatorArgs) -> anyhow::Result<()> {
    let of_up = || {
        let layout = Layout::new(args.data_dir.clone().unwrap_or_else(Layout::default_dir));
        config_file(&layout, "control")
    };
    let file: ControlFile = config::read(&args.config.clone().unwrap_or_else(of_up)).context(
        "no installation is to be found: give its directory with --data-dir, or control's file with --config",
    )?;
    let store = Store::connect(&file.database_url, 1)
        .await
        .context("control's database does not run: start it with `updraft up`")?;
    match &args.command {
        OperatorCommand::Init(args) => init(&store, args).await?,
        OperatorCommand::List => {
            let mut connection = store.connection().await?;
            for operator in operators::list(&mut connection).await? {
                println!("{}  {}", operator.email, operator.name);
            }
        }
        OperatorCommand::Grant(person) => {
            set(&store, &person.email, true).await?;
            println!("{} is an operator now.", person.email);
        }
        OperatorCommand::Revoke(person) => {
            set(&store, &person.email, false).await?;
            println!("{} is no operator any more.", person.email);
        }
        OperatorCommand::Restored(args) => restored(&store, args.confirm).await?,
        OperatorCommand::Agents(args) => operator_agents::run(&store, args.again).await?,
        OperatorCommand::RotateMasterKey(asked) => {
            let exchange = Exchange {
                store: &store,
                file: &file.master_key_file,
                is_ours: args.config.is_none(),
            };
            exchange.run(asked.status).await?;
        }
        OperatorCommand::RotateKeys(asked) => {
            let turn = KeyTurn {
                store: &store,
                master_key: &MasterKey::load(&file.master_key_file)?,
            };
            turn.run(asked).await?;
        }
    }
    Ok(())
}

/// Shows what is held, and lets it go when that is confirmed: exactly what was shown.
async fn restored(store: &Store, confirm: bool) -> anyhow::Result<()> {
    let mut tx = store.begin().await?;
    let Some(hold) = restore_holds::open(&mut tx).await? else {
        println!("Nothing is held: the provider has no node that the database does not know.");
        return Ok(());
    };
    println!("Held since {}. Nodes that no record names:", hold.since);
    for stray in &hold.strays {
        println!("  {}  of cluster {}", stray.provider_id, stray.cluster);
    }
    if !confirm {
        println!("`updraft operator restored --confirm` ends them, and control goes on as ever.");
        return Ok(());
    }
    restore_holds::confirm(&mut tx, &hold).await?;
    let nodes: Vec<_> = hold.strays.iter().map(|stray| &stray.provider_id).collect();
    let change = Change::made(
        json!({"user_of_the_machine": nix::unistd::getuid().as_raw(), "nodes_given_over": nodes}),
    );
    besides("restore.confirm")
        .on(Target::new("restore", hold.since, None))
        .done(&mut tx, By::system(None), change)
        .await?;
    tx.commit().await.map_err(StoreError::from)?;
    println!("Confirmed: they are ended, and nothing is held any more.");
    Ok(())
}

/// The first tenant, its owner, and that owner as an operator.
async fn init(store: &Store, args: &OperatorInit) -> anyhow::Result<()> {
    store.migrate().await?;
    let password = config::read_secret(&args.password_file)?;
    let owner = FirstOwner {
        email: &args.email,
        name: "Admin",
        password: &password,
    };
    if !install_tenant(store, &Passwords::new()?, &args.tenant, QUOTA, owner).await? {
        println!("There is a tenant {} already: nothing was changed.", args.tenant);
        return Ok(());
    }
    set(store, &args.email, true).await?;
    println!(
        "{} owns the tenant {} and is an operator.",
        args.email, args.tenant
    );
    Ok(())
}

async fn set(store: &Store, email: &str, operator: bool) -> anyhow::Result<()> {
    let address = email.trim().to_lowercase();
    let mut tx = store.begin().await?;
    operators::set(&mut tx, &address, operator)
        .await
        .map_err(|error| unknown(error, email))?;
    let action = if operator {
        "operator.grant"
    } else {
        "operator.revoke"
    };
    let change = Change::made(json!({"user_of_the_machine": nix::unistd::getuid().as_raw()}));
    besides(action)
        .on(Target::new("person", &address, Some(&address)))
        .done(&mut tx, By::system(None), change)
        .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

fn unknown(error: StoreError, email: &str) -> anyhow::Error {
    match error {
        StoreError::Missing { .. } => anyhow::anyhow!(
            "{email} has no account with a password here: an owner adds them first. People whom an identity provider \
             brings cannot be operators"
        ),
        other => other.into(),
    }
}
