//! The searchable catalogue of a runtime's options.

use updraft_api::rest::ConfigOptionView;
use updraft_authz::Actor;
use updraft_runtimes::ConfigOption;

use crate::App;
use crate::error::{AppError, Resource};

impl App {
    /// Every option of the runtime's Airflow. The same for all who are signed in.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub fn config_options(&self, _actor: &Actor, runtime: &str) -> Result<Vec<ConfigOptionView>, AppError> {
        let runtime = self
            .runtimes()
            .get(runtime)
            .ok_or(AppError::NotFound(Resource::Runtime))?;
        Ok(runtime.options().map(view).collect())
    }

    /// Names of the runtimes a cluster can have, newest last.
    #[must_use]
    pub fn runtime_names(&self) -> Vec<String> {
        self.runtimes().names().map(str::to_owned).collect()
    }
}

fn view(option: &ConfigOption) -> ConfigOptionView {
    ConfigOptionView {
        key: option.key.clone(),
        default: option.default.clone(),
        description: option.description.clone(),
        managed: option.managed,
    }
}
