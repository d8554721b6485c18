//! The configuration file: TOML with the names of [`Config`], an unknown key is an error.
//!
//! ```toml
//! cores = "0,2-3"
//! idle = "spin"
//!
//! [sources]
//! orders = "tcp://127.0.0.1:7000"
//!
//! [sinks]
//! rejections = "file:rejections.bin"
//! ```

use std::fs;
use std::path::Path;

use super::edge::{parse_sink, parse_source};
use super::error::Error;
use super::settings::{Config, Keys};

/// Reads configuration files.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFile;

impl ConfigFile {
    /// Reads the file at `path` over the defaults.
    ///
    /// # Errors
    /// It cannot be read, is no TOML, has a key that does not exist or a value that cannot be
    /// used. Whether the values fit the application is decided by [`Config::complete`].
    pub fn read(path: &Path) -> Result<Config, Error> {
        let unreadable = |cause| Error::Unreadable { path: path.to_path_buf(), cause };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, path)
    }

    pub(in crate::control) fn parse(text: &str, path: &Path) -> Result<Config, Error> {
        let wrong = |cause| Error::File { path: path.to_path_buf(), cause: shown(&cause, text) };
        let keys: Keys = toml::from_str(text).map_err(wrong)?;
        let mut config = Config { file: Some(path.to_path_buf()), ..Config::default() };
        Self::apply(keys, &mut config).map_err(|cause| Error::FileValue {
            path: path.to_path_buf(),
            cause: Box::new(cause),
        })?;
        Ok(config)
    }

    fn apply(keys: Keys, config: &mut Config) -> Result<(), Error> {
        for (name, text) in &keys.sources {
            let address = parse_source(&format!("source `{name}`"), text)?;
            config.sources.insert(name.clone(), address);
        }
        for (name, text) in &keys.sinks {
            let address = parse_sink(&format!("sink `{name}`"), text)?;
            config.sinks.insert(name.clone(), address);
        }
        keys.apply(config)
    }
}

/// What is wrong with `text` and where, without what stands there: a token may be in any value, and
/// in what should have been a key.
fn shown(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, column) = match before.rsplit_once('\n') {
        Some((lines, begun)) => (lines.split('\n').count() + 1, begun.chars().count() + 1),
        None => (1, before.chars().count() + 1),
    };
    let what = without_values(error.message());
    format!("TOML parse error at line {line}, column {column}: {what}")
}

/// A message of a parser without texts of the user's: those in quotation marks, and those in
/// backticks that are no plain name.
fn without_values(message: &str) -> String {
    let mut left = message;
    let mut all = String::new();
    while let Some(at) = left.find(['"', '`']) {
        let (before, quoted) = left.split_at(at);
        let mark = &quoted[..1];
        // What is not closed is cut off. A quotation mark within a text has a backslash in front.
        let end = if mark == "`" { quoted[1..].find('`') } else { quoted[1..].rfind('"') };
        let (text, behind) = match end {
            Some(end) => (&quoted[1..=end], &quoted[end + 2..]),
            None => (&quoted[1..], ""),
        };
        let plain = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
        let open = mark == "`" && (text.chars().all(plain) || text.len() <= 3);
        all = format!("{all}{before}{mark}{}{mark}", if open { text } else { "…" });
        left = behind;
    }
    all + left
}

#[cfg(test)]
mod tests {
    use super::super::{Outline, Skip, SummaryFormat};
    use super::*;
    use crate::connect::address::SinkAddress;

    fn parse(text: &str) -> Result<Config, Error> {
        ConfigFile::parse(text, Path::new("deploy.toml"))
    }

    fn check_error(text: &str, parts: &[&str]) {
        let message = parse(text).expect_err("a wrong file").to_string();
        for part in parts.iter().chain(&["deploy.toml"]) {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn a_file_overwrites_the_defaults() {
        let text = "cores = '0,0'\nidle = 'park'\nreport = 'json'\nlane_bytes = 8192\n\
                    admin = '127.0.0.1:9090'\ndead_letters = 'file:dead'\nseconds = 3\n\
                    skip = ['a=1', 'b=2f:3']\n\
                    [sources]\norders = 'tcp://[::1]:7000'\n[sinks]\nout = 'stdout:'";
        let config = parse(text).expect("a configuration");
        assert_eq!(config.cores, [0, 0]);
        assert_eq!(config.idle, potoroo_runtime::Idle::Park);
        assert_eq!((config.report, config.lane_bytes), (SummaryFormat::Json, 8192));
        assert_eq!(config.seconds, Some(3));
        assert_eq!(config.skip.iter().map(Skip::to_string).collect::<Vec<_>>(), ["a=1", "b=2f:3"]);
        assert_eq!(config.sources["orders"].to_string(), "tcp://[::1]:7000");
        assert_eq!(config.sinks["out"], SinkAddress::Stdout);
        assert_eq!(config.partitions, Config::default().partitions);
        let defaults = Config { file: Some("deploy.toml".into()), ..Config::default() };
        assert_eq!(parse("").expect("an empty file"), defaults);
    }

    #[test]
    fn wrong_files_name_the_key_and_the_known_ones() {
        check_error("idel = 'park'", &["unknown field `idel`", "`idle`", "line 1"]);
        check_error("idle = 'busy'", &["`idle` cannot be `busy`", "`adaptive`"]);
        check_error("report = 'xml'", &["`text` or `json`"]);
        check_error("cores = 'all'", &["`all` is no list of CPUs"]);
        check_error("admin = 'localhost'", &["`localhost`", "127.0.0.1:9090"]);
        check_error("skip = ['a']", &["`skip`: `a` names no event", "SOURCE=POSITION"]);
        check_error("lane_bytes = 'big'", &["invalid type", "line 1"]);
        check_error("[sources]\norders = 'ftp://x'", &["source `orders`", "`ftp`"]);
        check_error("[sinks]\nout = 'channel:'", &["sink `out`", "embeds the engine"]);
        check_error("[sources", &["TOML parse error"]);
        check_error("\n\n[sources]\na = 1", &["line 4, column 5", "invalid type: integer"]);
    }

    #[test]
    fn a_token_in_a_wrong_file_is_not_shown() {
        let address = "potoroo://0.0.0.0:1?token=hush";
        for text in [
            format!("[sources]\na = '{address}"),
            format!("[sources]\na = {address}"),
            format!("[sources]\n{address}"),
            format!("sources = '{address}'"),
            format!("sources = '{address}\" hush'"),
            format!("lane_bytes = '{address}'"),
            format!("'{address}' = 1"),
            format!("[sources]\na = '{address}'\na = '{address}'"),
            format!("[sources]\n'{address}' = 1"),
            format!("[sources]\n'{address}' = '{address}&x=1'"),
            format!("sinks.a = ['{address}']"),
            format!("admin = '{address}'"),
            format!("idle = '{address}'"),
            format!("report = '{address}'"),
            format!("cores = '{address}'"),
            format!("state = '{address}'"),
            format!("skip = ['a={address}']"),
            format!("dead_letters = '{address}&x=1'"),
        ] {
            let facts = Outline { application: "app", sources: &[], sinks: &[] };
            let shown = match parse(&text) {
                Err(error) => format!("{error} {error:?}"),
                // An address in the place of a name is one for a source that there is not.
                Ok(config) => config.complete(&facts).expect_err("it is wrong").to_string(),
            };
            assert!(!shown.contains("hush"), "{text}: {shown}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = ConfigFile::read(Path::new("no/such.toml")).expect_err("no file").to_string();
        assert!(error.contains("no/such.toml") && error.contains("--config"), "{error}");
    }
}
