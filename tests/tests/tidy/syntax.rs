//! The names in a file: modules, items, imports and paths, read from tokens.
//!
//! Promises to see every `use` tree and every path outside of attributes, and to leave out what
//! exists in tests only. It does not parse expressions: a path is a path wherever it stands.

use crate::source::Source;

/// A file's names. Scope 0 is the file itself, the others are its inline modules.
#[derive(Default)]
pub struct Syntax {
    /// Every module that the file declares or contains.
    pub scopes: Vec<Scope>,
    /// `mod name;`, with the scope that declares it.
    pub declared: Vec<(usize, String)>,
    /// Names of items, with the scope that defines them.
    pub defined: Vec<(usize, String)>,
    /// One for each leaf of a `use` tree.
    pub imports: Vec<Import>,
    /// Paths, also of one segment.
    pub paths: Vec<Mention>,
}

/// A module whose text lies in the file.
pub struct Scope {
    /// The scope around it; of scope 0 it means nothing.
    pub parent: usize,
    /// Its name; empty for scope 0.
    pub name: String,
}

/// A leaf of a `use` tree.
pub struct Import {
    /// The module that imports.
    pub scope: usize,
    /// From its first segment to its last; without the star of a glob.
    pub path: Vec<String>,
    /// The name that it gets here; `*` for a glob.
    pub name: String,
    /// Whether other modules can import it from here.
    pub is_public: bool,
    /// Line, counted from 0.
    pub line: usize,
}

/// A path in code.
pub struct Mention {
    /// The module that contains it.
    pub scope: usize,
    /// Its segments.
    pub path: Vec<String>,
    /// Line, counted from 0.
    pub line: usize,
}

/// A word, `::`, or another character.
struct Token {
    text: String,
    line: usize,
}

/// Reads the names of `source`.
pub fn read(source: &Source) -> Syntax {
    let mut syntax = Syntax::default();
    syntax.scopes.push(Scope { parent: 0, name: String::new() });
    let tokens = tokens(source);
    Reader { tokens: &tokens, at: 0, open: vec![Open { scope: 0, is_module: true }], syntax }.read()
}

/// A brace that is open, or the file.
struct Open {
    scope: usize,
    is_module: bool,
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    open: Vec<Open>,
    syntax: Syntax,
}

/// What gives a name to the word after it.
const ITEMS: [&str; 8] = ["struct", "enum", "union", "trait", "type", "fn", "const", "static"];

impl Reader<'_> {
    fn read(mut self) -> Syntax {
        while self.at < self.tokens.len() {
            self.read_next();
        }
        self.syntax
    }

    fn read_next(&mut self) {
        match self.text(0) {
            "#" => self.read_attribute(),
            "{" => self.enter(self.scope(), false),
            "}" => {
                self.open.truncate(self.open.len().saturating_sub(1).max(1));
                self.at += 1;
            }
            "use" if self.text(1) != "<" => self.read_use(),
            "mod" if self.text(2) == ";" => {
                self.syntax.declared.push((self.scope(), self.text(1).to_owned()));
                self.at += 3;
            }
            "mod" if self.text(2) == "{" => {
                self.syntax.scopes.push(Scope { parent: self.scope(), name: self.text(1).into() });
                self.at += 2;
                self.enter(self.syntax.scopes.len() - 1, true);
            }
            // In the body of a macro: `mod $name {`.
            "mod" if self.text(1) == "$" && self.text(3) == "{" => {
                self.syntax.scopes.push(Scope { parent: self.scope(), name: self.text(2).into() });
                self.at += 3;
                self.enter(self.syntax.scopes.len() - 1, true);
            }
            word if ITEMS.contains(&word) => self.read_item(1),
            "macro_rules" => self.read_item(2),
            word if is_word(word) => self.read_path(),
            _ => self.at += 1,
        }
    }

    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn scope(&self) -> usize {
        self.open.last().expect("the file stays open").scope
    }

    fn enter(&mut self, scope: usize, is_module: bool) {
        self.open.push(Open { scope, is_module });
        self.at += 1;
    }

    /// Skips an attribute and, when it is `#[cfg(test)]`, the item below it.
    fn read_attribute(&mut self) {
        let start = self.at;
        self.skip_attribute();
        let words: Vec<&str> =
            self.tokens[start..self.at].iter().map(|token| token.text.as_str()).collect();
        if words == ["#", "[", "cfg", "(", "test", ")", "]"] {
            while self.text(0) == "#" {
                self.skip_attribute();
            }
            self.skip_item();
        }
    }

    fn skip_attribute(&mut self) {
        self.at += if self.text(1) == "!" { 2 } else { 1 };
        if self.text(0) == "[" {
            self.skip_brackets();
        }
    }

    /// Moves past the bracket that closes the one here.
    fn skip_brackets(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// An item, a field or a variant ends with its body, a semicolon or a comma.
    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            match self.text(0) {
                ";" | "," => return self.at += 1,
                "{" => return self.skip_brackets(),
                "}" => return,
                "(" | "[" => self.skip_brackets(),
                _ => self.at += 1,
            }
        }
    }

    /// `ahead` is where the name stands. `const fn`, `const _` and `*const` name nothing.
    fn read_item(&mut self, ahead: usize) {
        let name = self.text(ahead);
        let is_pointer = self.at > 0 && self.tokens[self.at - 1].text == "*";
        let names = is_word(name) && !ITEMS.contains(&name) && name != "_" && !is_pointer;
        if names && self.open.last().is_some_and(|open| open.is_module) {
            self.syntax.defined.push((self.scope(), name.to_owned()));
        }
        self.at += if names { ahead + 1 } else { 1 };
    }

    fn read_path(&mut self) {
        let (line, begins) = (self.tokens[self.at].line, self.at);
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && is_word(self.text(1)) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        let before = begins.checked_sub(1).map_or("", |at| &self.tokens[at].text);
        if before != "." && before != "::" {
            self.syntax.paths.push(Mention { scope: self.scope(), path, line });
        }
    }

    fn read_use(&mut self) {
        let is_public = self.is_public();
        self.at += 1;
        self.read_tree(&[], is_public);
        while !["", ";"].contains(&self.text(0)) {
            self.at += 1;
        }
    }

    /// Whether `pub` or `pub(…)` stands before the word here.
    fn is_public(&self) -> bool {
        let before = |count: usize| self.at.checked_sub(count).map(|at| &*self.tokens[at].text);
        let open = (1..12).find(|count| before(*count) == Some("("));
        match before(1) {
            Some(")") => open.is_some_and(|open| before(open + 1) == Some("pub")),
            word => word == Some("pub"),
        }
    }

    fn read_tree(&mut self, prefix: &[String], is_public: bool) {
        let mut path = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => return self.read_group(&path, is_public),
                "*" => {
                    self.at += 1;
                    return self.import(path, "*".into(), is_public, line);
                }
                "self" if !path.is_empty() => self.at += 1,
                "as" => {
                    let name = self.text(1).to_owned();
                    self.at += 2;
                    return self.import(path, name, is_public, line);
                }
                word if is_word(word) => {
                    path.push(word.to_owned());
                    self.at += 1;
                }
                _ => {
                    let name = path.last().cloned().unwrap_or_default();
                    return self.import(path, name, is_public, line);
                }
            }
        }
    }

    fn read_group(&mut self, prefix: &[String], is_public: bool) {
        self.at += 1;
        while !["", "}"].contains(&self.text(0)) {
            self.read_tree(prefix, is_public);
            if self.text(0) == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn import(&mut self, path: Vec<String>, name: String, is_public: bool, line: usize) {
        self.syntax.imports.push(Import { scope: self.scope(), path, name, is_public, line });
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter == '_' || letter.is_alphabetic())
}

/// Words and other characters of the code, without comments and the insides of literals.
fn tokens(source: &Source) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (line, code) in source.lines.iter().map(|line| line.code.as_str()).enumerate() {
        let mut rest = code.trim_start();
        while let Some(first) = rest.chars().next() {
            let in_word = |letter: char| letter == '_' || letter.is_alphanumeric();
            let word = |text: &str| text.find(|c| !in_word(c)).unwrap_or(text.len());
            let length = match first {
                // A lifetime: `'static` begins no item.
                '\'' => 1 + word(&rest[1..]),
                ':' if rest.starts_with("::") => 2,
                first if in_word(first) => word(rest),
                first => first.len_utf8(),
            };
            let (text, after) = rest.split_at(length);
            tokens.push(Token { text: text.to_owned(), line });
            rest = after.trim_start();
        }
    }
    tokens
}
