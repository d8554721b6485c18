//! A Rust file cut into what is code and what is said about it.
//!
//! Owns the only knowledge of Rust's syntax that the rules need: comments, literals, braces and
//! the extent of items. Promises never to fail on text that compiles; it does not parse.

use std::ops::Range;

/// One line of a file, its parts at their own columns.
pub struct Line {
    /// The line as it stands.
    pub text: String,
    /// The line with comments and the insides of literals blanked.
    pub code: String,
    /// The line with everything but comments blanked.
    pub comment: String,
}

/// A file of the workspace.
pub struct Source {
    /// Relative to the root of the workspace, with `/`.
    pub path: String,
    /// Its lines, first to last.
    pub lines: Vec<Line>,
    /// Lines, 0-based, of items that exist in tests only.
    tests: Vec<Range<usize>>,
}

/// A function with a body.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its lines, 0-based, from `fn` to the closing brace.
    pub lines: Range<usize>,
}

impl Source {
    /// Cuts `text`, the content of the file at `path`.
    pub fn new(path: &str, text: &str) -> Self {
        let parts = mask(text);
        let columns = |wanted: Part| -> Vec<String> {
            let keep = |(letter, part): (char, &Part)| {
                if letter == '\n' || *part == wanted { letter } else { ' ' }
            };
            let kept: String = text.chars().zip(&parts).map(keep).collect();
            kept.lines().map(str::to_owned).collect()
        };
        let (code, comments) = (columns(Part::Code), columns(Part::Comment));
        let lines = text.lines().zip(code).zip(comments);
        let line =
            |((text, code), comment): ((&str, _), _)| Line { text: text.into(), code, comment };
        let mut source =
            Self { path: path.into(), lines: lines.map(line).collect(), tests: vec![] };
        source.tests = source.items_after("#[cfg(test)]");
        source
    }

    /// Whether line `index` is compiled into tests only.
    pub fn is_test(&self, index: usize) -> bool {
        self.is_test_file() || self.tests.iter().any(|lines| lines.contains(&index))
    }

    /// Whether the whole file belongs to tests.
    pub fn is_test_file(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }

    /// All functions with a body, also nested ones.
    pub fn functions(&self) -> Vec<Function> {
        (0..self.lines.len()).flat_map(|index| self.functions_of(index)).collect()
    }

    fn functions_of(&self, index: usize) -> Vec<Function> {
        let code = &self.lines[index].code;
        let named = |start: usize| {
            let name = code[start..].trim_start();
            let name: String =
                name.chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect();
            let lines = index..self.body_end(index, start)?;
            (!name.is_empty()).then_some(Function { name, lines })
        };
        word_starts(code, "fn").filter_map(|start| named(start + 2)).collect()
    }

    /// The items that follow each line containing `attribute`, with the attribute.
    pub fn items_after(&self, attribute: &str) -> Vec<Range<usize>> {
        let marked = |index: &usize| self.lines[*index].code.contains(attribute);
        let item = |start: usize| {
            let column = self.lines[start].code.find(attribute)? + attribute.len();
            Some(start..self.body_end(start, column)?)
        };
        (0..self.lines.len()).filter(marked).filter_map(item).collect()
    }

    /// The line after the brace that closes the first body behind (`line`, `column`); `None` when
    /// a semicolon ends the item before.
    pub fn body_end(&self, line: usize, column: usize) -> Option<usize> {
        let (mut braces, mut brackets) = (0_usize, 0_usize);
        for (index, line_code) in self.lines.iter().enumerate().skip(line) {
            let skipped = if index == line { column } else { 0 };
            for letter in line_code.code[skipped..].chars() {
                match letter {
                    '(' | '[' => brackets += 1,
                    ')' | ']' => brackets = brackets.saturating_sub(1),
                    '{' => braces += 1,
                    '}' if braces <= 1 => return Some(index + 1),
                    '}' => braces -= 1,
                    ';' if braces == 0 && brackets == 0 => return None,
                    _ => {}
                }
            }
        }
        None
    }
}

/// Byte positions of `word` in `text` where no letter, digit or underscore touches it.
pub fn word_starts<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let touches = |c: char| c == '_' || c.is_alphanumeric();
    text.match_indices(word).map(|(start, _)| start).filter(move |start| {
        let before = text[..*start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(touches) && !after.is_some_and(touches)
    })
}

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// The part of each character. Quotes are code, what they enclose is not.
fn mask(text: &str) -> Vec<Part> {
    let text: Vec<char> = text.chars().collect();
    let mut parts = Vec::with_capacity(text.len());
    while parts.len() < text.len() {
        let at = parts.len();
        let (part, end) = token(&text, at);
        let quoted = part == Part::Literal && end - at >= 2;
        parts.extend((at..end).map(|index| match part {
            Part::Literal if quoted && (index == at || index + 1 == end) => Part::Code,
            part => part,
        }));
    }
    parts
}

/// The part that begins at `at`, and where it ends.
fn token(text: &[char], at: usize) -> (Part, usize) {
    let after_name = at > 0 && (text[at - 1] == '_' || text[at - 1].is_alphanumeric());
    match (text[at], text.get(at + 1)) {
        ('/', Some('/')) => (Part::Comment, line_end(text, at)),
        ('/', Some('*')) => (Part::Comment, block_end(text, at)),
        ('"', _) => (Part::Literal, quote_end(text, at, '"')),
        ('\'', Some('\\')) => (Part::Literal, quote_end(text, at, '\'')),
        ('\'', Some(_)) if text.get(at + 2) == Some(&'\'') => (Part::Literal, at + 3),
        ('r', Some('"' | '#')) if !after_name || text[at - 1] == 'b' => {
            raw_end(text, at).map_or((Part::Code, at + 1), |end| (Part::Literal, end))
        }
        _ => (Part::Code, at + 1),
    }
}

fn line_end(text: &[char], at: usize) -> usize {
    text[at..].iter().position(|c| *c == '\n').map_or(text.len(), |length| at + length)
}

fn block_end(text: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0, at);
    while end + 1 < text.len() {
        match (text[end], text[end + 1]) {
            ('/', '*') => (depth, end) = (depth + 1, end + 2),
            ('*', '/') if depth == 1 => return end + 2,
            ('*', '/') => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
    }
    text.len()
}

fn quote_end(text: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < text.len() && text[end] != quote {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(text.len())
}

/// The end of a raw string, or `None` for a raw identifier.
fn raw_end(text: &[char], at: usize) -> Option<usize> {
    let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if text.get(open) != Some(&'"') {
        return None;
    }
    let closes = |end: &usize| {
        text[*end] == '"'
            && text[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    Some((open + 1..text.len()).find(closes).map_or(text.len(), |end| end + 1 + hashes))
}
