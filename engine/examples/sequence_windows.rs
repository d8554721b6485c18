//! Sequence windows: an application whose output shows every mistake of the engine that runs it.
//!
//! ```text
//!   numbers 1, 2, 3, … ── key_by number mod 64 ── update (windows) ──► windows
//! ```
//!
//! Each key keeps the last four of its numbers and outputs them at every number. So every output
//! is known beforehand: after 5 + 64 × 9 come exactly the three numbers before it. An event that
//! was lost, doubled or overtaken, and a state that was lost or went back, all show.
//!
//! Ten seconds of generated numbers, with latencies at the end:
//!
//! ```text
//! cargo run --release --example sequence_windows
//! ```
//!
//! A million numbers into a file, and the judgement of that file:
//!
//! ```text
//! cargo run --release --example sequence_windows -- \
//!     --source numbers='gen:numbers?count=1000000&rate=max' --sink windows=file:windows.txt
//! cargo run --release --example sequence_windows -- --validate windows.txt
//! ```
//!
//! Numbers come as lines, so what `seq 1 1000` prints is an input too: a file of it, or over TCP
//! `seq 1 1000 | nc 127.0.0.1 7000`, or `seq 1 1000 > /dev/tcp/127.0.0.1/7000` in bash, for
//! `--source numbers=tcp://127.0.0.1:7000`.
//!
//! An output line is `key: four numbers`, the latest last, zeros where there was none yet:
//! `5: 0,0,5,69`.
//!
//! `--validate FILE` exits with 0 when, for each key, the lines are exactly its windows, each once
//! and in order, and all numbers up to the highest one are there. It exits with 1 at the first
//! line that is wrong. The lines of different keys may be mixed in any way.

use std::io::{BufRead, BufReader, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use potoroo::prelude::*;

/// Enough for every core of a large machine to own some.
const KEYS: u64 = 64;

/// Numbers in a window.
const WINDOW: usize = 4;

/// The last numbers of a key, the latest last.
#[event]
struct Window {
    key: u64,
    numbers: [u64; WINDOW],
}

/// What a key remembers.
#[state]
struct Latest {
    numbers: [u64; WINDOW],
}

impl Latest {
    fn push(&mut self, number: u64) -> Window {
        self.numbers.rotate_left(1);
        self.numbers[WINDOW - 1] = number;
        Window { key: number % KEYS, numbers: self.numbers }
    }
}

fn application() -> Application {
    let app = Application::new("sequence-windows");
    let windows = app.table::<u64, Latest>("windows");
    app.generator("numbers", |_| |index| Some(index + 1));
    app.source("numbers", NumberCodec)
        .key_by(|number| number % KEYS)
        .update(&windows, |latest, number| latest.push(number))
        .sink("windows", WindowCodec);
    app
}

fn main() -> ExitCode {
    let file = std::env::args_os().skip_while(|text| text != "--validate").nth(1);
    file.map_or_else(|| potoroo::main(application), |file| validate_file(file.as_ref()))
}

/// Reads numbers, one per line.
struct NumberCodec;

impl Decode for NumberCodec {
    type Event = u64;
    type Framing = Lines;

    fn framing(&self) -> Lines {
        Lines::new()
    }

    fn decode(&self, payload: &[u8]) -> Result<u64, Reason> {
        let text = str::from_utf8(payload).ok();
        text.and_then(|text| text.parse().ok()).ok_or(Reason::new("line is not a number"))
    }
}

/// Writes windows as lines.
struct WindowCodec;

impl Encode for WindowCodec {
    type Event = Window;

    fn encode(&self, window: Window, out: &mut Vec<u8>) {
        let [a, b, c, d] = window.numbers;
        writeln!(out, "{}: {a},{b},{c},{d}", window.key).expect("memory takes every write");
    }
}

/// What the validator knows: how many windows of each key were right so far.
struct Validator {
    windows: [u64; KEYS as usize],
}

impl Validator {
    fn new() -> Self {
        Self { windows: [0; KEYS as usize] }
    }

    /// Judges the next line of an output.
    fn check(&mut self, line: &str) -> Result<(), String> {
        let window = parse(line).ok_or_else(|| "is not `key: a,b,c,d`".to_owned())?;
        let windows = usize::try_from(window.key).ok().and_then(|key| self.windows.get_mut(key));
        let windows = windows.ok_or_else(|| format!("has a key above {}", KEYS - 1))?;
        let expected = expected(window.key, *windows);
        if window.numbers != expected {
            return Err(format!("should have {expected:?}"));
        }
        *windows += 1;
        Ok(())
    }

    /// Judges the whole after its last line: the number of windows, or what is missing.
    fn finish(&self) -> Result<u64, String> {
        let windows: u64 = self.windows.iter().sum();
        let numbers_of = |key: u64| windows / KEYS + u64::from((1..=windows % KEYS).contains(&key));
        let keys = (0..KEYS).zip(self.windows);
        match keys.into_iter().find(|(key, windows)| *windows < numbers_of(*key)) {
            None => Ok(windows),
            Some((key, windows)) => Err(format!("number {} is missing", number(key, windows))),
        }
    }
}

/// The number with this index of `key`: the first of key 0 is 64.
fn number(key: u64, index: u64) -> u64 {
    (if key == 0 { KEYS } else { key }) + index * KEYS
}

/// The window with this index of `key`.
fn expected(key: u64, index: u64) -> [u64; WINDOW] {
    let back = |place: usize| (WINDOW - 1 - place) as u64;
    std::array::from_fn(|place| index.checked_sub(back(place)).map_or(0, |at| number(key, at)))
}

fn parse(line: &str) -> Option<Window> {
    let (key, numbers) = line.split_once(": ")?;
    let numbers: Result<Vec<u64>, _> = numbers.split(',').map(str::parse).collect();
    Some(Window { key: key.parse().ok()?, numbers: numbers.ok()?.try_into().ok()? })
}

fn validate(lines: impl BufRead) -> Result<u64, String> {
    let mut validator = Validator::new();
    for (index, line) in lines.lines().enumerate() {
        let at = |wrong: String| format!("line {}: {wrong}", index + 1);
        let line = line.map_err(|error| at(error.to_string()))?;
        validator.check(&line).map_err(|wrong| at(format!("`{line}` {wrong}")))?;
    }
    validator.finish()
}

fn validate_file(path: &Path) -> ExitCode {
    let file = std::fs::File::open(path).map_err(|error| error.to_string());
    let path = path.display();
    // The exit code has the judgement, whether or not the line can be written.
    match file.and_then(|file| validate(BufReader::new(file))) {
        Ok(windows) => {
            let _ = writeln!(stdout(), "{path}: all {windows} windows are right");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            let _ = writeln!(stderr(), "{path}: {wrong}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(count: u64) -> Vec<String> {
        let mut reference = Reference::new(application()).expect("the application is sound");
        reference.generate("numbers", "numbers", 1, count);
        let text = |bytes| String::from_utf8(bytes).expect("the codec writes text");
        reference.outputs("windows").into_iter().map(text).collect()
    }

    fn check(lines: &[String], expected: Result<u64, &str>) {
        let judged = validate(lines.concat().as_bytes());
        assert_eq!(judged.as_ref().map(|count| *count).map_err(String::as_str), expected);
    }

    #[test]
    fn windows_hold_the_last_four_of_their_key() {
        let lines = run(5 + 64 * 4);
        assert_eq!(lines[0], "1: 0,0,0,1\n");
        assert_eq!(lines[64 + 4], "5: 0,0,5,69\n");
        assert_eq!(lines[64 * 4 + 4], "5: 69,133,197,261\n");
        assert_eq!(lines[64 * 4 - 1], "0: 64,128,192,256\n");
    }

    #[test]
    fn lines_are_numbers_or_refused() {
        let mut reference = Reference::new(application()).expect("the application is sound");
        reference.feed("numbers", b"1\nx\n-1\n65\n");
        assert_eq!(reference.output("windows"), b"1: 0,0,0,1\n1: 0,0,1,65\n");
        assert_eq!(reference.refused().len(), 2);
    }

    #[test]
    fn right_outputs_are_right_however_keys_mix() {
        check(&[], Ok(0));
        for count in [1, 63, 64, 65, 1000] {
            let mut lines = run(count);
            check(&lines, Ok(count));
            lines.sort_by_key(|line| std::cmp::Reverse(parse(line.trim_end()).unwrap().key));
            check(&lines, Ok(count));
        }
    }

    #[test]
    fn every_single_mistake_is_found() {
        let lines = run(200);
        let edit = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = lines.clone();
            change(&mut lines);
            validate(lines.concat().as_bytes()).expect_err("this is a mistake")
        };
        for at in 0..199 {
            edit(&|lines| drop(lines.remove(at)));
            edit(&|lines| lines.insert(at, lines[at].clone()));
        }
        for at in 0..200 - 64 {
            edit(&|lines| lines.swap(at, at + 64));
        }
        let forgotten = edit(&|lines| lines[199] = "8: 0,0,0,200\n".into());
        assert_eq!(forgotten, "line 200: `8: 0,0,0,200` should have [8, 72, 136, 200]");
        assert_eq!(
            edit(&|lines| drop(lines.remove(10))),
            "line 74: `11: 0,0,11,75` should have [0, 0, 0, 11]"
        );
        edit(&|lines| lines[7] = "99: 0,0,0,99\n".into());
        edit(&|lines| lines[7] = "8: 0,0,8\n".into());
    }

    #[test]
    fn a_missing_end_is_named() {
        let mut lines = run(200);
        lines.remove(197);
        check(&lines, Err("number 198 is missing"));
    }
}
