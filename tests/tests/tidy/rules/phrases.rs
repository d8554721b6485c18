//! Phrases: what the glossary replaces, in comments, literals, names and documents. A name is read
//! as the words between its underscores: tests have sentences for names.
//!
//! Only phrases that are almost never right are searched for; a rule that cries wolf is switched
//! off. `behind` is for place, and judged by the noun that follows it.

use std::collections::BTreeSet;

use crate::finding::Findings;
use crate::known::Known;
use crate::source::Source;

/// A phrase in lower case, and what to write.
const PHRASES: [(&str, &str); 46] = [
    ("a former life", "an earlier run"),
    ("a word more", "what is sent"),
    ("an earlier life", "an earlier run"),
    ("anybody", "any process, any thread, any client"),
    ("anyone", "any process, any thread, any client"),
    ("brought to its end", "completed"),
    ("came to nothing", "aborted"),
    ("come to nothing", "abort"),
    ("comes to nothing", "aborts"),
    ("culprit", "blocked by"),
    ("culprits", "blocked by"),
    ("everybody", "all processes, all threads, all clients"),
    ("everyone", "all processes, all threads, all clients"),
    ("for so long", "name the duration"),
    ("give up", "end, or abort"),
    ("given up", "ended, or aborted"),
    ("gives up", "ends, or aborts"),
    ("giving up", "ending, or aborting"),
    ("heard", "received, or noticed"),
    ("hearer", "receiver"),
    ("hearers", "receivers"),
    ("hears", "receives, or notices"),
    ("in this life", "in this run"),
    ("its next life", "its next run"),
    ("just so", "say how"),
    ("keeper", "storage thread"),
    ("keepers", "storage threads"),
    ("lately", "say since when"),
    ("lives of a process", "runs"),
    ("loudly", "logged"),
    ("made up", "generated"),
    ("made-up", "generated"),
    ("nobody", "no process, no client, no thread, or passive"),
    ("of this life", "of this run"),
    ("so few", "name the number"),
    ("so many", "name the number"),
    ("somebody", "name it"),
    ("somebody's", "name it"),
    ("somehow", "say how"),
    ("someone", "name it"),
    ("sweep", "snapshot"),
    ("sweeps", "snapshots"),
    ("teller", "sender"),
    ("tellers", "senders"),
    ("told", "reported, refused, logged, sent, woken or distinguished"),
    ("whoever", "name it"),
];

/// A file, and a phrase that is a name of the system there.
const NAMES: [(&str, &str); 1] = [
    // The account of that name.
    ("tuning/src/unit.rs", "nobody"),
];

/// Nouns of time: what follows them is after them.
const MOMENTS: [&str; 22] = [
    "answer",
    "begin",
    "checkpoint",
    "checkpoints",
    "commit",
    "commits",
    "crash",
    "cut",
    "cuts",
    "end",
    "epoch",
    "failure",
    "gap",
    "kill",
    "restart",
    "rollback",
    "slice",
    "snapshot",
    "start",
    "stop",
    "turn",
    "turns",
];

/// Words between `behind` and the noun at most: `behind the last committed checkpoint`.
const BETWEEN_MAX: usize = 3;

/// A word of prose in lower case.
struct Word {
    text: String,
    /// Line, counted from 0.
    line: usize,
    /// Whether a phrase cannot go on after it.
    ends: bool,
}

/// Reports files with banned phrases that are not `known`, and known files without any.
pub fn check(sources: &[Source], documents: &[Source], known: &Known, findings: &mut Findings) {
    let mut found = BTreeSet::new();
    let spelled = |source: &&Source| !source.path.starts_with("tests/tests/tidy/");
    for source in sources.iter().chain(documents).filter(spelled) {
        let is_document = !source.path.ends_with(".rs");
        let named = |phrase: &str| NAMES.contains(&(&source.path, phrase));
        for (line, phrase, remedy) in banned(&words(source, is_document)) {
            if named(&phrase) {
                continue;
            }
            let remedy = format!("`{phrase}`: {remedy}");
            found.insert(source.path.clone());
            if !known.contains(&source.path) {
                findings.add(source, line, "phrase", remedy);
            }
        }
    }
    known.check("phrase", &found, findings);
}

/// Lines with banned phrases, each with the phrase and what to write.
fn banned(words: &[Word]) -> Vec<(usize, String, &'static str)> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let here = &words[at..];
        let phrases = PHRASES.iter().filter(|(phrase, _)| begins(here, phrase));
        found.extend(phrases.map(|(phrase, plain)| (word.line, (*phrase).to_owned(), *plain)));
        if let Some(moment) = moment_behind(here) {
            found.push((word.line, format!("behind … {moment}"), "after"));
        }
    }
    found
}

fn begins(words: &[Word], phrase: &str) -> bool {
    for (at, part) in phrase.split(' ').enumerate() {
        let goes_on = at == 0 || !words[at - 1].ends;
        if !goes_on || words.get(at).is_none_or(|word| word.text != part) {
            return false;
        }
    }
    true
}

/// The noun of time that `behind`, the first of `words`, stands before.
fn moment_behind(words: &[Word]) -> Option<&str> {
    words.first().filter(|word| word.text == "behind" && !word.ends)?;
    for word in words.iter().skip(1).take(BETWEEN_MAX + 1) {
        if MOMENTS.contains(&word.text.as_str()) {
            return Some(&word.text);
        }
        if word.ends {
            return None;
        }
    }
    None
}

/// The words of comments and literals, and those of the names in each line's code; of a document
/// all.
fn words(source: &Source, is_document: bool) -> Vec<Word> {
    let mut words = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        if !is_document {
            words.extend(names(&line.code, index));
        }
        let code = line.code.chars().chain(std::iter::repeat(' '));
        let prose = |(letter, code): (char, char)| {
            if is_document || code == ' ' { letter } else { ' ' }
        };
        let prose: String = line.text.chars().zip(code).map(prose).collect();
        words.extend(prose.split_whitespace().filter_map(|text| word(text, index)));
    }
    words
}

/// The words of all names in `code`. A phrase does not go on from one name to the next.
fn names(code: &str, line: usize) -> impl Iterator<Item = Word> {
    let names = code.split(|letter: char| letter != '_' && !letter.is_alphanumeric());
    names.flat_map(move |name| {
        let parts = name.split('_').filter(|part| !part.is_empty());
        let word = |part: &str| Word { text: part.to_lowercase(), line, ends: false };
        let mut words: Vec<Word> = parts.map(word).collect();
        words.last_mut().into_iter().for_each(|word| word.ends = true);
        words
    })
}

/// Without the punctuation around it; `None` for the slashes of a comment.
fn word(text: &str, line: usize) -> Option<Word> {
    let bare = text.trim_matches(|letter: char| !letter.is_alphanumeric());
    let ends = text.ends_with(['.', ',', ';', ':', '!', '?', ')', '`', '"']);
    (!bare.is_empty()).then(|| Word { text: bare.to_lowercase(), line, ends })
}
