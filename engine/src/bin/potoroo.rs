//! The tool beside applications: see [`potoroo::control::tool`].

use std::process::ExitCode;

fn main() -> ExitCode {
    potoroo::control::tool::main()
}
