//! Word count: how often each word has occurred in the lines so far.
//!
//! ```text
//!   lines ── flat_map words ── key_by word ── update (totals) ──► counts
//! ```
//!
//! Ten seconds of generated lines, with latencies at the end:
//!
//! ```text
//! cargo run --release --example word_count
//! ```
//!
//! A file in, a file out; or what you type into `nc 127.0.0.1 7000`, or into
//! `cat > /dev/tcp/127.0.0.1/7000` where there is only bash:
//!
//! ```text
//! cargo run --release --example word_count -- \
//!     --source lines=file:README.md --sink counts=file:counts.txt
//! cargo run --release --example word_count -- \
//!     --source lines=tcp://127.0.0.1:7000 --sink counts=stdout:
//! ```
//!
//! A word is a run of letters and digits, in lower case as far as ASCII goes. Each occurrence
//! gives a line `word count`; the last line of a word has its total.

use std::io::Write;
use std::process::ExitCode;

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;

/// Words live in place, without an allocation; longer ones count as their first 32 bytes.
type Word = Text<32>;

/// A word and how often it has occurred.
#[event]
struct Count {
    word: Word,
    times: u64,
}

fn application() -> Application {
    let app = Application::new("word-count");
    let totals = app.table::<Word, u64>("totals");
    app.generator("lines", generated_lines);
    app.source("lines", LineText::new())
        .flat_map(|line, out| words(line).for_each(|word| out.emit(word)))
        .key_by(|word| word)
        .update(&totals, |total, word| {
            *total += 1;
            Count { word, times: *total }
        })
        .sink("counts", CountCodec);
    app
}

fn main() -> ExitCode {
    potoroo::main(application)
}

fn words(line: &str) -> impl Iterator<Item = Word> {
    line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(word)
}

fn word(text: &str) -> Word {
    let mut lower = [0; 32];
    let kept = text.floor_char_boundary(lower.len());
    lower[..kept].copy_from_slice(&text.as_bytes()[..kept]);
    lower.make_ascii_lowercase();
    Text::from_array(lower)
}

/// Writes lines such as `potoroo 3`.
struct CountCodec;

impl Encode for CountCodec {
    type Event = Count;

    fn encode(&self, count: Count, out: &mut Vec<u8>) {
        writeln!(out, "{} {}", count.word, count.times).expect("memory takes every write");
    }
}

/// Lines of eight words out of this vocabulary, the first ones more often.
fn generated_lines(seed: u64) -> impl FnMut(u64) -> Option<String> {
    const VOCABULARY: [&str; 16] = [
        "the",
        "a",
        "of",
        "order",
        "market",
        "and",
        "price",
        "quote",
        "spread",
        "bid",
        "offer",
        "wide",
        "core",
        "potoroo",
        "marsupial",
        "kangaroo",
    ];
    let mut random = Random::new(seed);
    move |_| {
        let mut below = || random.below(VOCABULARY.len() as u64) as usize;
        // The smaller of two draws: the first word comes up thirty times as often as the last.
        let words: [&str; 8] = std::array::from_fn(|_| VOCABULARY[below().min(below())]);
        Some(words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[u8], expected: &str) {
        let mut reference = Reference::new(application()).expect("the application is sound");
        reference.feed("lines", lines);
        reference.end("lines");
        assert_eq!(String::from_utf8_lossy(&reference.output("counts")), expected);
    }

    #[test]
    fn words_are_counted_as_they_come() {
        check(b"", "");
        check(b"To be, or not to be?\n", "to 1\nbe 1\nor 1\nnot 1\nto 2\nbe 2\n");
        check(b"one\n\n ...\r\none two", "one 1\none 2\ntwo 1\n");
        check("Löwe löwe".as_bytes(), "löwe 1\nlöwe 2\n");
    }

    #[test]
    fn long_words_count_as_their_beginning() {
        let (word, longer) = ("a".repeat(32), "a".repeat(33));
        check(format!("{word} {longer}").as_bytes(), &format!("{word} 1\n{word} 2\n"));
        check(format!("{}ö", "a".repeat(31)).as_bytes(), &format!("{} 1\n", "a".repeat(31)));
    }

    #[test]
    fn lines_that_are_no_text_are_refused() {
        let mut reference = Reference::new(application()).expect("the application is sound");
        reference.feed("lines", b"\xff\xfe\nword\n");
        assert_eq!(reference.refused().len(), 1);
        assert_eq!(reference.output("counts"), b"word 1\n");
    }

    #[test]
    fn generated_lines_have_eight_words() {
        let mut reference = Reference::new(application()).expect("the application is sound");
        reference.generate("lines", "lines", 1, 100);
        assert_eq!(reference.outputs("counts").len(), 800);
    }
}
