//! `updraft operator`: who runs this installation. Works on the control host alone, by the database that
//! `updraft up` wrote down there: no request from outside can do what this does.

use anyhow::Context as _;
use serde_json::json;
use updraft_app::audit::{By, Change, Target, besides};
use updraft_embedded::Layout;
use updraft_store::{Store, StoreError, operators};

use crate::cli::{OperatorArgs, OperatorCommand};
use crate::config::{self, ControlFile};
use crate::up::config_file;

/// # Errors
/// When there is no installation, its database does not run, or there is no such account.
pub(crate) async fn run(args: &OperatorArgs) -> anyhow::Result<()> {
    let layout = Layout::new(args.data_dir.clone().unwrap_or_else(Layout::default_dir));
    let file: ControlFile = config::read(&config_file(&layout, "control"))
        .context("no installation is to be found: give its directory with --data-dir")?;
    let store = Store::connect(&file.database_url, 1)
        .await
        .context("control's database does not run: start it with `updraft up`")?;
    match &args.command {
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
    }
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
