//! A core that stops turning ends the process: half of the keys are not served in silence.

mod support;

use std::process::{Command, ExitCode};

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;
use support::App;

const NAME: &str = "a_handler_that_never_returns_ends_the_process";

/// Set for the process that hangs: the file that it reads.
const INPUT: &str = "POTOROO_TEST_INPUT";

fn application() -> Application {
    let app = Application::new("hanging");
    app.source("lines", LineText::new())
        .key_by(|line| line.len() as u64)
        .map(|line| {
            if line == "hang" {
                loop {
                    std::hint::spin_loop();
                }
            }
            line.to_owned()
        })
        .sink("lines", LineText::new());
    app
}

#[test]
fn a_handler_that_never_returns_ends_the_process() {
    if let Some(input) = std::env::var_os(INPUT) {
        let source = format!("lines=file:{}", std::path::Path::new(&input).display());
        let arguments = ["hanging", "--cores", "0", "--heartbeat-seconds", "1", "--no-progress"];
        let edges = ["--source", &source, "--sink", "lines=null:"];
        let arguments = arguments.into_iter().chain(edges).map(str::to_owned);
        assert_eq!(potoroo::main_with(arguments, application), ExitCode::SUCCESS);
        return;
    }
    for (lines, code) in [("go\non\n", 0), ("go\nhang\non\n", 70)] {
        let input = format!("{}/watchdog-{code}", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&input, lines).expect("the target folder can be written");
        let mut process = Command::new(std::env::current_exe().expect("a test knows its path"));
        process.args([NAME, "--exact", "--nocapture"]).env(INPUT, &input);
        let ended = App::spawn(process).finish();
        assert_eq!(ended.code, Some(code), "{}", ended.log);
        let stalled = ended.log.contains("core 0 on CPU 0 has finished no turn for 1s");
        assert_eq!(stalled, code == 70, "{}", ended.log);
        let named = ended.log.contains("core 0 has been in one batch of the shard of lines");
        assert_eq!(named, code == 70, "{}", ended.log);
    }
}
