//! `updraft operator`: who runs this installation. Works on the control host alone, by the database that
//! `updraft up` wrote down there: no request from outside can do what this does.

use anyhow::Context as _;
use updraft_embedded::Layout;
use updraft_store::{PgConnection, Store, StoreError, operators};

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
    let mut connection = store.connection().await?;
    match &args.command {
        OperatorCommand::List => {
            for operator in operators::list(&mut connection).await? {
                println!("{}  {}", operator.email, operator.name);
            }
        }
        OperatorCommand::Grant(person) => {
            set(&mut connection, &person.email, true).await?;
            println!("{} is an operator now.", person.email);
        }
        OperatorCommand::Revoke(person) => {
            set(&mut connection, &person.email, false).await?;
            println!("{} is no operator any more.", person.email);
        }
    }
    Ok(())
}

async fn set(connection: &mut PgConnection, email: &str, operator: bool) -> anyhow::Result<()> {
    let address = email.trim().to_lowercase();
    operators::set(connection, &address, operator)
        .await
        .map_err(|error| unknown(error, email))
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
