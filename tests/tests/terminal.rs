//! What people see on a terminal, and how it is made less.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::{App, Scratch, connect, example, market};

/// A process with a pseudo-terminal for standard output and error, and what it has shown.
struct Shown {
    child: Child,
    terminal: File,
    raw: String,
}

impl Shown {
    fn start(name: &str, arguments: &str) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it is ours");
        let path = ptsname(&terminal, Vec::new()).expect("it has a name");
        let side = || -> OwnedFd {
            let flags = OFlags::RDWR | OFlags::NOCTTY;
            open(&*path, flags, Mode::empty()).expect("its other side")
        };
        let mut command = Command::new(example(name));
        command.args(arguments.split_whitespace()).env_remove("POTOROO_LOG");
        command.stdin(Stdio::null()).stdout(side()).stderr(side());
        let child = command.spawn().expect("the example is built");
        Self { child, terminal: terminal.into(), raw: String::new() }
    }

    /// Reads until `part` is shown, or to the end.
    fn read_until(&mut self, part: &str) {
        let mut bytes = [0; 4096];
        while !self.raw.contains(part) {
            // After the last close of the other side this is an error.
            let Ok(count @ 1..) = self.terminal.read(&mut bytes) else { return };
            self.raw.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// The lines that stay, when all is over.
    fn lines(mut self) -> Vec<String> {
        self.read_until("\0");
        self.child.wait().expect("it has ended");
        self.raw.split('\n').map(visible).collect()
    }
}

/// One line as a terminal leaves it: what follows a carriage return is written over it.
fn visible(raw: &str) -> String {
    let mut line = Vec::new();
    let mut at = 0;
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => at = 0,
            '\x1b' => {
                // An escape sequence ends with its first letter: `[K` clears to the end.
                if letters.find(char::is_ascii_alphabetic) == Some('K') {
                    line.truncate(at);
                }
            }
            letter => {
                line.truncate(line.len().max(at));
                match line.get_mut(at) {
                    Some(there) => *there = letter,
                    None => line.push(letter),
                }
                at += 1;
            }
        }
    }
    line.into_iter().collect()
}

const PROGRESS: &str = " 1 s  quotes ";

#[test]
fn nothing_is_glued_to_the_progress_line() {
    let arguments = "--source quotes=gen:quotes --source orders=tcp://127.0.0.1:0 \
                     --sink rejections=null: --cores 0";
    let mut shown = Shown::start("market_spread", arguments);
    shown.read_until("source `orders` listens on ");
    shown.read_until("\r\n");
    shown.read_until(PROGRESS);
    let listening = shown.raw.split("source `orders` listens on ").nth(1).expect("it does");
    let address = listening.lines().next().and_then(|text| text.parse().ok());
    let mut stream = connect(address.expect("an address"));
    stream.write_all(&[0xff; market::REJECTION_BYTES]).expect("the application reads");
    shown.read_until("WARN");
    kill_process(Pid::from_child(&shown.child), Signal::TERM).expect("it runs");
    let raw = shown.raw.clone();
    let lines = shown.lines();
    let warning = lines.iter().find(|line| line.contains("WARN")).expect("a warning");
    assert!(!warning.contains("quotes "), "{warning}\n{raw:?}");
    let summary =
        lines.iter().find(|line| line.contains("a signal stopped it")).expect("a summary");
    assert!(summary.starts_with("market-spread: "), "{summary}\n{raw:?}");
    assert!(lines.iter().all(|line| !line.contains(PROGRESS)), "no progress stays: {lines:#?}");
}

#[test]
fn a_sink_on_the_terminal_has_no_progress_beside_it() {
    let arguments = "--source numbers=gen:numbers?rate=5 --sink windows=stdout: --cores 0 \
                     --seconds 2";
    let lines = Shown::start("sequence_windows", arguments).lines();
    assert!(lines.iter().any(|line| line == "1: 0,0,0,1"), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(" s  numbers ")), "{lines:#?}");
}

const QUIET: &str = "--source numbers=gen:numbers?count=10&rate=max --cores 0 \
                     --sink windows=null:";

#[test]
fn quiet_means_quiet() {
    let scratch = Scratch::new("terminal-quiet");
    let file = scratch.write("quiet.toml", b"quiet = true\n");
    for quiet in ["--quiet".to_string(), format!("--config {file}")] {
        let ended = App::start("sequence_windows", &format!("{QUIET} {quiet}")).finish();
        assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""), "{quiet}");
        assert!(ended.out.contains("all sources ended"), "{}", ended.out);
    }
    let ended = App::start("sequence_windows", "--quiet --sink windows=nowhere:").finish();
    ended.refused(1, &["error: ", "nowhere"]);
}

#[test]
fn the_level_of_the_log_holds_for_notes() {
    for (level, noted) in [("error", false), ("warn", false), ("info", true), ("debug", true)] {
        let mut command = Command::new(example("sequence_windows"));
        command.args(QUIET.split_whitespace()).env("POTOROO_LOG", level);
        let output = command.output().expect("the example is built");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(log.contains("numbers → windows"), noted, "{level}: {log}");
        assert!(noted || log.is_empty(), "{level}: {log}");
    }
}
