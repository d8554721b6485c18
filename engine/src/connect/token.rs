//! What two sides of a connection both have to know.
//!
//! Promises: a token is never shown, and fits a hello. Must never do: name more of it than the file
//! that it is in.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use potoroo_connector::{HELLO_TEXT_BYTES_MAX, is_same_token};

/// A token; it may be empty, for none. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// This text, in which no `?` or `&` may be if it stands in an address.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether every client is let in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `text` is this token. Takes as long for a wrong one as for a right one.
    pub fn fits(&self, text: &str) -> bool {
        is_same_token(&self.0, text)
    }

    /// The text: for the other side only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "no token" } else { "token" })
    }
}

/// Where the token of an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenAt {
    /// In the address.
    Address(Token),
    /// In this file, which other users of the host need not be able to read as they can a command
    /// line.
    File(PathBuf),
}

impl TokenAt {
    /// The token. One line feed behind that in a file does not belong to it. A file that others can
    /// read is named in the log.
    ///
    /// # Errors
    /// Cause and remedy: it does not fit a hello, or its file has none.
    pub fn read(&self) -> Result<Token, String> {
        let (token, place) = match self {
            Self::Address(token) => (token.clone(), "the address".to_owned()),
            Self::File(path) => (read_file(path)?, format!("`{}`", path.display())),
        };
        match token.0.len() > HELLO_TEXT_BYTES_MAX {
            true => Err(format!(
                "the token in {place} has over {HELLO_TEXT_BYTES_MAX} bytes: take a shorter one"
            )),
            false => Ok(token),
        }
    }
}

/// As an option of an address: nothing of a token.
impl fmt::Display for TokenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(_) => Ok(()),
            Self::File(path) => write!(f, "?token-file={}", path.display()),
        }
    }
}

fn read_file(path: &Path) -> Result<Token, String> {
    let shown = path.display();
    let text = read_text(path).map_err(|error| {
        format!("token-file `{shown}`: {error}; give a file that has the token and nothing else")
    })?;
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.trim_end_matches('\r'));
    match text.is_empty() {
        true => Err(format!("token-file `{shown}` is empty: write the token into it")),
        false => Ok(Token::new(text)),
    }
}

/// What is in the file, up to so much that too much is known.
fn read_text(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & OTHERS != 0 {
        let shown = path.display();
        tracing::warn!(
            "token-file `{shown}`: every user of this host can read or change it: say `chmod 600`"
        );
    }
    let mut text = String::new();
    // Behind the longest token, its line feed and one byte too many.
    file.take(HELLO_TEXT_BYTES_MAX as u64 + 3).read_to_string(&mut text)?;
    Ok(text)
}

/// Bits of a mode that let others read or write.
const OTHERS: u32 = 0o006;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file with these bytes gives.
    #[track_caller]
    fn read(name: &str, bytes: impl AsRef<[u8]>) -> Result<String, String> {
        let name = format!("potoroo-token-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("it can be written");
        let token = TokenAt::File(path.clone()).read();
        std::fs::remove_file(path).expect("it was written");
        token.map(|token| token.0)
    }

    #[test]
    fn a_line_feed_behind_a_token_is_no_part_of_it() {
        for text in ["hush", "hush\n", "hush\r\n"] {
            assert_eq!(read("line", text).as_deref(), Ok("hush"), "{text:?}");
        }
        assert_eq!(read("line", " a?b&c=d\n\n").as_deref(), Ok(" a?b&c=d\n"));
        let longest = "x".repeat(HELLO_TEXT_BYTES_MAX);
        assert_eq!(read("longest", format!("{longest}\r\n")), Ok(longest));
    }

    #[test]
    fn files_without_a_token_are_refused_by_name() {
        let missing = TokenAt::File("/nowhere/token".into()).read().expect_err("there is none");
        assert!(missing.contains("`/nowhere/token`: No such file"), "{missing}");
        let folder = TokenAt::File("/".into()).read().expect_err("it is a folder");
        assert!(folder.contains("`/`: Is a directory"), "{folder}");
        for (bytes, part) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"\xff\xfe", "UTF-8"),
            (&[b'x'; HELLO_TEXT_BYTES_MAX + 1], "over 1024 bytes"),
            (&[b'x'; 1 << 20], "over 1024 bytes"),
        ] {
            let refused = read("none", bytes).expect_err(part);
            assert!(refused.contains(part) && !refused.contains("xx"), "{refused}");
        }
    }

    #[test]
    fn a_token_fits_itself_only() {
        let token = Token::new("hush");
        assert!(token.fits("hush"));
        assert!(["", "hus", "hush!", "hash"].iter().all(|other| !token.fits(other)));
        assert_eq!(TokenAt::Address(token.clone()).read(), Ok(token));
        let long = TokenAt::Address(Token::new("x".repeat(70_000))).read().expect_err("too long");
        assert!(long.contains("1024 bytes") && !long.contains("xx"), "{long}");
    }
}
