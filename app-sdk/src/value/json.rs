//! JSON: values as text that people and other programs read.
//!
//! Structs are objects, structs without names for their fields and tuples are lists, one field
//! alone is itself; variants are their name, or an object of it and their fields; maps are lists of
//! pairs, since a key may be anything; numbers that JSON has not are strings.

use alloc::string::String;
use core::fmt::{Display, Write};

use super::Schema;

/// Appends `text` in quotation marks.
pub fn quote(text: impl Display, out: &mut String) {
    out.push('"');
    write!(Quoting(out), "{text}").expect("a string grows");
    out.push('"');
}

/// Appends what is written so already.
pub(super) fn plain(text: impl Display, out: &mut String) {
    write!(out, "{text}").expect("a string grows");
}

/// Appends a list.
pub(super) fn list<'a, T: Schema + 'a>(items: impl IntoIterator<Item = &'a T>, out: &mut String) {
    let mut list = JsonFields::list(out);
    items.into_iter().for_each(|item| list.item(item));
    list.end();
}

/// The parts of an object or list, one after the other.
#[derive(Debug)]
pub struct JsonFields<'a> {
    out: &'a mut String,
    end: char,
    first: bool,
}

impl<'a> JsonFields<'a> {
    /// Begins an object.
    pub fn object(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, end: '}', first: true }
    }

    /// Begins a list.
    pub fn list(out: &'a mut String) -> Self {
        out.push('[');
        Self { out, end: ']', first: true }
    }

    /// The next part of an object.
    pub fn field(&mut self, name: &str, value: &impl Schema) {
        self.separate();
        quote(name, self.out);
        self.out.push(':');
        value.json(self.out);
    }

    /// The next part of a list.
    pub fn item(&mut self, value: &impl Schema) {
        self.separate();
        value.json(self.out);
    }

    /// A pair as the next part of a list.
    pub(super) fn pair(&mut self, key: &impl Schema, value: &impl Schema) {
        self.separate();
        let mut pair = JsonFields::list(self.out);
        pair.item(key);
        pair.item(value);
        pair.end();
    }

    /// Ends it.
    pub fn end(self) {
        self.out.push(self.end);
    }

    fn separate(&mut self) {
        if !core::mem::take(&mut self.first) {
            self.out.push(',');
        }
    }
}

struct Quoting<'a>(&'a mut String);

impl Write for Quoting<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            '"' | '\\' => write!(self.0, "\\{letter}"),
            '\0'..' ' => write!(self.0, "\\u{:04x}", letter as u32),
            _ => self.0.write_char(letter),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Symbol;
    use alloc::{collections::BTreeMap, string::ToString, vec, vec::Vec};

    #[track_caller]
    fn check(value: &impl Schema, expected: &str) {
        let mut text = String::new();
        value.json(&mut text);
        assert_eq!(text, expected);
    }

    #[test]
    fn values_are_written_as_json() {
        check(&u64::MAX, "18446744073709551615");
        check(&-1.5f64, "-1.5");
        check(&f64::NAN, "\"NaN\"");
        check(&true, "true");
        check(&'"', r#""\"""#);
        check(&"a\n\\é".to_string(), r#""a\u000a\\é""#);
        check(&Symbol::new(b"IBM").expect("short"), "\"IBM\"");
        check(&vec![Some(1u8), None], "[1,null]");
        check(&Vec::<u8>::new(), "[]");
        check(&(1u8, [2u8, 3]), "[1,[2,3]]");
        check(&BTreeMap::from([(1u8, 2u8), (3, 4)]), "[[1,2],[3,4]]");
        check(&(), "null");
    }
}
