//! Words: what a crate never speaks of it cannot depend on. Code and comments alike.

use crate::finding::Findings;
use crate::source::Source;

/// The words that one part of the workspace never says.
struct Ban {
    /// Paths that begin so.
    under: &'static str,
    /// In lower case, singular; the plural is meant too.
    words: &'static [&'static str],
    /// Spellings that are not meant: taken out of the line before it is read.
    except: &'static [&'static str],
    remedy: &'static str,
}

const BANS: [Ban; 4] = [
    Ban {
        under: "app-sdk/src/",
        words: &["core", "ring", "lane", "node", "unsafe"],
        // The library `core`, and the lint that forbids unsafe code.
        except: &["core::", "extern crate core", "unsafe_code", "no `unsafe`"],
        remedy: "the SDK says what is computed, never where: find another word or another crate",
    },
    Ban {
        under: "runtime/src/",
        words: &["event", "key", "table", "application", "rkyv"],
        // Names that the operating system, its bindings and the standard library gave:
        // readiness is an "event" there, and to sort by something is to sort "by key".
        except: &[
            "rustix::event",
            "event::{",
            "event::Poll",
            "epoll::Event",
            "EventFlags",
            "eventfd",
            "EventfdFlags",
            "by_key",
            "contains_key",
        ],
        remedy: "the runtime moves bytes and time, never meaning: say frame, input or host",
    },
    Ban {
        under: "runtime/src/",
        words: &["await"],
        except: &[],
        remedy: "a core that gives way to its executor may never run again: stay in the turn loop",
    },
    Ban {
        under: "engine/src/",
        words: &["glommio", "io_uring"],
        except: &[],
        remedy: "the runtime owns executor and kernel queues: ask it",
    },
];

/// Reports the words that `source` may not say.
pub fn check(source: &Source, findings: &mut Findings) {
    for ban in BANS.iter().filter(|ban| source.path.starts_with(ban.under)) {
        for (index, line) in source.lines.iter().enumerate() {
            let meant = ban.except.iter().fold(line.text.clone(), |text, e| text.replace(e, " "));
            for word in ban.words.iter().filter(|word| says(&meant, word)) {
                findings.add(source, index, "word", format!("`{word}`: {}", ban.remedy));
            }
        }
    }
}

/// Whether `text` has `word` or its plural: on its own, or as a part of `CamelCase` or, when the
/// word has no underscore itself, of `snake_case`.
fn says(text: &str, word: &str) -> bool {
    if word.contains('_') {
        return text.contains(word);
    }
    let is_word = |part: &str| part == word || part.strip_suffix('s') == Some(word);
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .flat_map(camel_parts)
        .any(|part| is_word(&part.to_ascii_lowercase()))
}

/// `CoreId` is `Core` and `Id`; `KEYS` and `keys` are one part.
fn camel_parts(name: &str) -> Vec<&str> {
    let letters = name.as_bytes();
    let begins =
        |at: &usize| letters[*at].is_ascii_uppercase() && letters[at - 1].is_ascii_lowercase();
    let mut starts: Vec<usize> = vec![0];
    starts.extend((1..letters.len()).filter(begins));
    let ends = starts[1..].iter().copied().chain([name.len()]);
    starts.iter().zip(ends).map(|(start, end)| &name[*start..end]).collect()
}
