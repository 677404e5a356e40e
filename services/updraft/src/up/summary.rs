//! What a person needs to know once everything runs.

use secrecy::ExposeSecret as _;

use super::demo::Demo;
use super::seed::Seeded;
use super::terminal::Terminal;
use crate::config::Ports;

/// Prints addresses, the first password (once), and what to do next.
pub(crate) fn print(ports: &Ports, seeded: &Seeded, demo: Option<&Demo>, terminal: &Terminal) {
    let mut lines = vec![
        String::new(),
        format!("Updraft is up after {:.0} s.", terminal.elapsed().as_secs_f32()),
        String::new(),
        format!("  Console   {}", ports.console_url()),
    ];
    if let Some(demo) = demo {
        lines.push(format!("  Airflow   {}", demo.airflow_url));
    }
    lines.push(format!("  Sign in   {}", seeded.email));
    match &seeded.password {
        Some(password) => {
            lines.push(format!("  Password  {}", password.expose_secret()));
            lines.push("            shown this once; change it in the console under Account".to_owned());
        }
        None => lines.push("  Password  as before".to_owned()),
    }
    if let Some(demo) = demo {
        lines.push(String::new());
        match &demo.how_to_add {
            Some(command) => {
                lines.push(format!("  Add a DAG: put a file into {}", demo.dag_location));
                lines.push(format!("             {command}"));
            }
            None => lines.push(format!("  DAGs come from {}", demo.dag_location)),
        }
    }
    if !nix::unistd::geteuid().is_root() {
        lines.push(String::new());
        lines.push(
            "  Not root: clusters share this user, so this Updraft serves one tenant that trusts itself."
                .into(),
        );
    }
    lines.push(String::new());
    lines.push("Ctrl-C stops everything in order; `updraft up` goes on from here.".to_owned());
    terminal.say(&lines.join("\n"));
}
