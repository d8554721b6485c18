//! The systemd service, through the real binary and, where it is installed, through systemd's own
//! verification.

mod recorded;

use std::io::Write;
use std::process::{Command, Output};

use recorded::{Recorded, printed};

fn unit(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_potoroo-tuning"));
    command.arg("unit").args(arguments).output().expect("the binary runs")
}

/// A program that is on every host: systemd looks whether it is there.
const PROGRAM: [&str; 7] =
    ["--name", "pre-trade", "--cores", "2-5", "--control", "0-1", "/bin/true"];

#[test]
fn a_service_is_printed() {
    let arguments =
        ["--", "--source", "orders=tcp://0.0.0.0:7000", "--cores", "2-5", "--idle", "spin"];
    insta::assert_snapshot!("unit", printed(&unit(&[&PROGRAM[..], &arguments].concat())));
}

#[test]
fn systemd_has_nothing_to_say_about_it() {
    let folder = Recorded::empty("unit");
    for (name, odd) in [("pre-trade", "plain"), ("odd", "50% of \"$HOME\" \\ ;")] {
        let arguments = ["--name", name, "/bin/true", "--", odd];
        let output = unit(&arguments);
        assert!(output.status.success(), "{}", printed(&output));
        let text = String::from_utf8(output.stdout).expect("it is text");
        folder.write(&format!("/{name}.service"), &text);
        let file = folder.path().join(format!("{name}.service"));
        let verify = Command::new("systemd-analyze").arg("verify").arg(file).output();
        let Ok(verify) = verify else {
            // Not by `eprintln`, which the test runner swallows when the test passes.
            let skipped = "skipped: systemd-analyze is not installed, the unit is not verified\n";
            std::io::stderr().write_all(skipped.as_bytes()).expect("standard error is open");
            return;
        };
        let said = printed(&verify);
        // It also reports on other units of the host that it has to load.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(ours.is_empty(), "{said}");
    }
}

#[test]
fn no_account_of_this_host_is_taken_over() {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    for name in accounts.lines().filter_map(|line| line.split(':').next()) {
        let output = unit(&["--name", name, "/bin/true"]);
        assert_eq!(output.status.code(), Some(3), "{name}: {}", printed(&output));
    }
}

#[test]
fn mistakes_are_reported() {
    for (arguments, words) in [
        (["--name", "a b", "/bin/true"], "no name for a service"),
        (["--name", "a", "bin/true"], "no absolute path"),
        (["--name", "root", "/bin/true"], "`root` belongs to the system"),
        (["--name", "%H", "/bin/true"], "no name for a service"),
        (["--cores", "", "/bin/true"], "--name"),
    ] {
        let text = printed(&unit(&arguments));
        assert!(text.contains(words) && text.ends_with("exit 3\n"), "{text}");
    }
}
