//! `unit`: a systemd service.

use anyhow::Result;
use clap::Args;
use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::unit::{Error, Unit, is_taken_on};
use potoroo_tuning::{Cpus, Root};

use super::console;
use super::exit::DoctorExit;
use super::place::some_cores;

/// Arguments of `unit`.
#[derive(Args, Debug)]
pub struct Service {
    /// Name of the service, of its user and of its folder below /var/lib.
    #[arg(long)]
    name: String,
    /// CPUs of the application [default: it shares those of the host].
    #[arg(long, value_name = "LIST")]
    cores: Option<Cpus>,
    /// CPUs for its threads that open files and connections [default: all others of this host].
    #[arg(long, value_name = "LIST", requires = "cores")]
    control: Option<Cpus>,
    /// Absolute path of the application.
    program: String,
    /// Its arguments, behind `--`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Service {
    /// Prints the unit.
    pub fn run(&self) -> Result<DoctorExit> {
        some_cores(self.cores.as_ref())?;
        if is_taken_on(&Root::host_files(), &self.name) {
            return Err(Error::Taken(self.name.clone()).into());
        }
        let unit = Unit::new(&self.name, &self.program, &self.arguments, self.cpus())?;
        console::answer(unit.to_string().trim_end())?;
        Ok(DoctorExit::Fit)
    }

    fn cpus(&self) -> Option<Cpus> {
        let cores = self.cores.as_ref()?;
        let others = || CheckedHost::read(&Root::host(), Some(cores)).others();
        Some(cores.or(&self.control.clone().unwrap_or_else(others)))
    }
}
