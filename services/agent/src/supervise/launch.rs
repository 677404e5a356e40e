//! Starting one process.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use updraft_api::agent::ServiceAssignment;
use updraft_model::NOT_ON_THIS_NODE;

use super::prefork::{ForkRequest, Parent};
use super::record::Origin;
use crate::error::{Error, Result};
use crate::layout::{self, Layout};
use crate::place::{Owner, Ownership};
use crate::process::{Handle, ProcessId};

/// All that is needed to start a service.
#[derive(Clone, Debug)]
pub struct Launch {
    pub service: ServiceAssignment,
    pub layout: Layout,
    pub parent: Option<Parent>,
}

/// A process that was started.
#[derive(Debug)]
pub struct Launched {
    pub handle: Handle,
    pub origin: Origin,
    /// For one that this agent is the parent of: so that it is reaped.
    pub child: Option<Child>,
}

// === impl Launch ===

impl Launch {
    /// Which way it will go.
    #[must_use]
    pub fn origin(&self) -> Origin {
        if self.service.prefork && self.parent.is_some() {
            Origin::Prefork
        } else {
            Origin::Direct
        }
    }

    /// # Errors
    /// When the process can't be started; the reason is for people.
    pub async fn run(self) -> Result<Launched> {
        let output = self
            .layout
            .place()
            .append(&layout::log(self.service.name), 0o660, Ownership::Shared)?;
        self.layout
            .place()
            .remove(&layout::exit_status(self.service.name))?;
        match &self.parent {
            Some(parent) if self.service.prefork => self.fork(parent).await,
            _ => self.spawn(output),
        }
    }

    fn spawn(&self, output: std::fs::File) -> Result<Launched> {
        let (program, arguments) = self
            .service
            .argv
            .split_first()
            .ok_or_else(|| self.failed("it has no command".to_owned()))?;
        let errors = output
            .try_clone()
            .map_err(|error| self.failed(error.to_string()))?;
        let child = detached(
            program,
            arguments,
            &self.service.env,
            self.work_dir(),
            self.layout.place().owner(),
        )
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| self.failed(why(program, &error)))?;
        let pid = i32::try_from(child.id()).map_err(|_| self.failed("its pid is none".to_owned()))?;
        let handle = self.hold(pid, None)?;
        Ok(Launched {
            handle,
            origin: Origin::Direct,
            child: Some(child),
        })
    }

    async fn fork(&self, parent: &Parent) -> Result<Launched> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let request = ForkRequest {
            argv: &self.service.argv,
            env: &self.service.env,
            cwd: text(self.work_dir()),
            output: text(self.layout.path(&layout::log(self.service.name))),
            status: text(self.layout.path(&layout::exit_status(self.service.name))),
        };
        let id = parent
            .fork(&request)
            .await
            .map_err(|reason| self.failed(reason))?;
        // The parent runs with the services' rights: what it names may be no process of others.
        let handle = self.hold(id.pid, Some(id))?;
        Ok(Launched {
            handle,
            origin: Origin::Prefork,
            child: None,
        })
    }

    fn hold(&self, pid: i32, told: Option<ProcessId>) -> Result<Handle> {
        let gone = || self.failed("it ended at once".to_owned());
        let id = told.or_else(|| ProcessId::of(pid)).ok_or_else(gone)?;
        let foreign = told.is_some() && id.uid() != Some(service_uid(self.layout.place().owner()));
        if foreign {
            return Err(
                self.failed("the pre-imported parent named a process that is not the services'".to_owned())
            );
        }
        Handle::open(id)
            .map_err(|error| self.failed(error.to_string()))?
            .ok_or_else(gone)
    }

    fn work_dir(&self) -> PathBuf {
        self.layout.path("work")
    }

    fn failed(&self, reason: String) -> Error {
        Error::Spawn {
            service: self.service.name.to_string(),
            reason,
        }
    }
}

fn why(program: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("`{program}` {NOT_ON_THIS_NODE}"),
        _ => format!("`{program}`: {error}"),
    }
}

/// The user whose processes are services.
pub(crate) fn service_uid(owner: Option<Owner>) -> u32 {
    owner.map_or_else(|| rustix::process::geteuid().as_raw(), |owner| owner.uid)
}

/// A command that shares nothing with the agent but its session: own group, own user, own environment.
pub(crate) fn detached(
    program: &str,
    arguments: &[String],
    env: &BTreeMap<String, String>,
    directory: PathBuf,
    owner: Option<Owner>,
) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(env)
        .current_dir(directory)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(owner) = owner {
        // As root the standard library drops supplementary groups when it changes the user.
        command.gid(owner.gid).uid(owner.uid);
    }
    command
}
