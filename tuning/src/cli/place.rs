//! Which host, and which of its CPUs, as the command line names them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use potoroo_tuning::{Cpus, Root};

/// Which host, and which of its CPUs.
#[derive(Args, Debug)]
pub struct HostSelection {
    /// CPUs of the application, such as `2-5,8` [default: all that this process may use].
    #[arg(long, value_name = "LIST")]
    cores: Option<Cpus>,
    #[command(flatten)]
    host: Where,
}

/// Which host.
#[derive(Args, Debug)]
pub struct Where {
    /// Use a recorded host below this directory instead of this one.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Where {
    pub fn root(&self) -> Result<Root> {
        let Some(folder) = &self.root else { return Ok(Root::host()) };
        let metadata = std::fs::metadata(folder);
        let metadata = metadata.with_context(|| format!("--root {}", folder.display()))?;
        ensure!(metadata.is_dir(), "--root {}: is no directory", folder.display());
        Ok(Root::recorded(folder))
    }
}

impl HostSelection {
    pub fn root(&self) -> Result<Root> {
        self.host.root()
    }

    pub fn cores(&self) -> Result<Option<&Cpus>> {
        some_cores(self.cores.as_ref())?;
        Ok(self.cores.as_ref())
    }
}

/// An empty list is a mistake, for instance an empty variable of a script.
pub fn some_cores(cores: Option<&Cpus>) -> Result<()> {
    let some = cores.is_none_or(|cores| !cores.is_empty());
    ensure!(some, "--cores names no CPU: give a list such as 2-5,8");
    Ok(())
}
