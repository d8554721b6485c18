//! The command line that every application gets. Owns the flags that are no settings and the help
//! on addresses, decides nothing: what flags mean and what may be in them stands at [`Config`].

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

use crate::connect::address::Edge;
use crate::connect::registry;

use super::config::{Config, ConfigFile, Error, Flags, parse_sink, parse_source};
use super::exit::Exit;

/// The flags of an application.
#[derive(Clone, Debug, Parser)]
#[command(
    about = "Runs this application. Without any address it runs on generated events, if it can \
             make them up.",
    after_help = Exit::HELP,
    after_long_help = address_help(),
    disable_version_flag = true,
    next_line_help = true,
    disable_help_subcommand = true
)]
pub struct CommandLine {
    /// Address of a source, once for each
    #[arg(long, value_name = "NAME=URL", value_parser = Pair)]
    source: Vec<(String, String)>,

    /// Address of a sink, once for each
    #[arg(long, value_name = "NAME=URL", value_parser = Pair)]
    sink: Vec<(String, String)>,

    /// TOML file with the same names as these flags; a flag wins over the file [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Flags,

    /// Print the plan, the guarantee of each path and the memory bill, and run nothing
    #[arg(long)]
    check: bool,

    /// Print a table as it is in the checkpoint of --restore, or in the last one, as lines of JSON
    /// on standard output, and run nothing [default: none]
    #[arg(long, value_name = "TABLE", requires = "state")]
    pub(super) export: Option<String>,

    /// Export so that the table can be imported
    #[arg(long, requires = "export")]
    pub(super) for_import: bool,

    /// Fill an empty table with what was exported, as the next checkpoint of the stopped
    /// application, and run nothing [default: none]
    #[arg(long, value_name = "TABLE=FILE", requires = "state", conflicts_with = "export")]
    pub(super) import: Option<String>,

    /// Print the application's name and the version of the engine
    #[arg(short = 'V', long)]
    pub(super) version: bool,
}

impl CommandLine {
    /// The configuration that the flags make: over the file, which is over the defaults.
    ///
    /// # Errors
    /// The file cannot be used, an address cannot be parsed, or a name has two. Whether the
    /// values fit the application is decided by [`Config::complete`].
    pub fn config(self) -> Result<Config, Error> {
        let read = self.config.as_deref().map(ConfigFile::read).transpose()?;
        let mut config = read.unwrap_or_default();
        let sources = unique(Edge::Source, self.source)?.into_iter();
        for (name, text) in sources {
            let address = parse_source(&format!("source `{name}`"), &text)?;
            config.sources.insert(name, address);
        }
        for (name, text) in unique(Edge::Sink, self.sink)? {
            let address = parse_sink(&format!("sink `{name}`"), &text)?;
            config.sinks.insert(name, address);
        }
        self.settings.apply(&mut config)?;
        config.check |= self.check;
        Ok(config)
    }
}

/// Parses `NAME=URL`. What is none is not shown: a token may be in it.
#[derive(Clone)]
struct Pair;

impl TypedValueParser for Pair {
    type Value = (String, String);

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let text = value.to_str().ok_or_else(|| {
            let flag = argument.map_or_else(String::new, clap::Arg::to_string);
            let message = format!("{flag} is not UTF-8: rename what the address names\n");
            clap::Error::raw(ErrorKind::InvalidUtf8, message).with_cmd(command)
        })?;
        match text.split_once('=') {
            Some((name, url)) if !name.is_empty() && !name.contains(':') => {
                Ok((name.to_string(), url.to_string()))
            }
            _ => {
                let flag = argument.map_or_else(String::new, clap::Arg::to_string);
                let remedy = "write NAME=URL, such as `orders=tcp://127.0.0.1:7000`";
                let message = format!("{flag} cannot be understood: {remedy}\n");
                Err(clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command))
            }
        }
    }
}

fn unique(edge: Edge, pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>, Error> {
    for (index, (name, _)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(Error::Repeated { edge, name: name.clone() });
        }
    }
    Ok(pairs)
}

fn address_help() -> String {
    format!(
        "{}
Logging goes to standard error; the environment variable POTOROO_LOG sets its level
[default: {}].

{}",
        registry::help(),
        super::logging::LEVEL_DEFAULT,
        Exit::HELP
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;
    use potoroo_runtime::Idle;

    use super::super::config::{NAMES, SummaryFormat};
    use super::*;

    fn parse(flags: &str) -> Result<Config, Error> {
        let flags = std::iter::once("market-spread").chain(flags.split_whitespace());
        CommandLine::try_parse_from(flags).expect("valid usage").config()
    }

    fn usage_error(flags: &str) -> String {
        let flags = std::iter::once("market-spread").chain(flags.split_whitespace());
        let error = CommandLine::try_parse_from(flags).expect_err("wrong usage");
        assert_eq!(error.exit_code(), Exit::Usage as i32);
        assert!(!error.to_string().contains("hush"), "a token in {error}");
        error.to_string()
    }

    #[test]
    fn flags_make_a_configuration() {
        let config = parse(
            "--source orders=tcp://[::1]:7000?connections=1 --source quotes=file:q \
             --sink out=null: --cores 0,0 --idle spin --seconds 5 --report json --check \
             --admin 127.0.0.1:9090 --dead-letters file:dead --lane-bytes 8192 --no-progress",
        )
        .expect("a configuration");
        assert_eq!(config.sources["orders"].to_string(), "tcp://[::1]:7000?connections=1");
        assert_eq!(config.sources.len(), 2);
        assert_eq!(config.cores, [0, 0]);
        assert_eq!((config.idle, config.seconds), (Idle::Spin, Some(5)));
        assert_eq!(
            (config.report, config.check, config.progress),
            (SummaryFormat::Json, true, false)
        );
        assert_eq!(config.dead_letters.map(|sink| sink.to_string()), Some("file:dead".into()));
        assert_eq!(config.lane_bytes, 8192);
    }

    #[test]
    fn no_flags_mean_the_defaults() {
        assert_eq!(parse("").expect("a configuration"), Config::default());
    }

    /// What a flag may be given, and the same in a file, by what help shows for its value.
    fn example(unit: &str) -> (&'static str, &'static str) {
        match unit {
            "N" | "EPOCH" => ("7", "7"),
            "LIST" => ("0,0", "'0,0'"),
            "spin|adaptive|park" => ("park", "'park'"),
            "text|json" => ("json", "'json'"),
            "ADDR:PORT" => ("127.0.0.1:9090", "'127.0.0.1:9090'"),
            "URL" => ("null:", "'null:'"),
            "DIR" | "DIR|URL" => ("folder", "'folder'"),
            "NODE" => ("a", "'a'"),
            "FILE" => ("a.pem", "'a.pem'"),
            "WEIGHT" => ("1.5", "'1.5'"),
            "NAME" => ("counts", "['counts']"),
            "SOURCE=POSITION" => ("orders=7", "['orders=7']"),
            unit => panic!("no example of {unit}: add one"),
        }
    }

    #[test]
    fn every_setting_can_be_given_by_flag_and_by_file() {
        assert!(NAMES.len() > 20, "the list was misread");
        for names in NAMES {
            let (long, key) = (names.long(), names.key);
            let (flag, line) = match names.unit() {
                "" => (format!("--{long}"), format!("{key} = {}", !long.starts_with("no-"))),
                unit => {
                    let (by_flag, by_file) = example(unit);
                    (format!("--{long} {by_flag}"), format!("{key} = {by_file}"))
                }
            };
            assert_eq!(long.trim_start_matches("no-").replace('-', "_"), key, "one name");
            let by_flag = parse(&flag).expect("a configuration");
            assert_ne!(by_flag, Config::default(), "{flag} changes something");
            let by_file = ConfigFile::parse(&line, Path::new("f")).expect("a configuration");
            assert_eq!(Config { file: None, ..by_file }, by_flag, "{flag} and {line} are the same");
        }
    }

    #[test]
    fn wrong_usage_names_flag_and_remedy() {
        for (flags, part) in [
            ("--source orders", "write NAME=URL"),
            ("--source tcp://a:1?connections=2", "write NAME=URL"),
            ("--source potoroo://a:1?token=hush", "--source <NAME=URL> cannot be understood"),
            ("--idle busy", "`spin`, `adaptive` or `park`"),
            ("--cores x", "`x` is no list of CPUs"),
            ("--report xml", "json"),
            ("--admin here", "--admin"),
            ("--secnods 1", "--seconds"),
        ] {
            let message = usage_error(flags);
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn wrong_addresses_name_their_edge() {
        let error = parse("--source a=gen:a --source a=gen:b").expect_err("twice").to_string();
        assert!(error.contains("`--source a=…` is given twice"), "{error}");
        let error = parse("--sink out=ftp://x").expect_err("no scheme").to_string();
        assert!(error.starts_with("sink `out`: "), "{error}");
        let error = parse("--source a=channel:").expect_err("outside").to_string();
        assert!(error.contains("embeds the engine"), "{error}");
    }

    #[test]
    fn help_prints_every_default() {
        let mut command = CommandLine::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        let squeezed = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for argument in command.get_arguments().filter(|argument| {
            argument.get_action().takes_values()
                && !["source", "sink"].contains(&argument.get_id().as_str())
        }) {
            let text = argument.get_help().expect("help").to_string();
            assert!(text.contains("[default: "), "{argument} does not show its default");
        }
        for part in ["[default: 262144]", "[default: adaptive]", "Exit codes:", "gen:NAME"] {
            assert!(squeezed.contains(part), "`{part}` is not in: {help}");
        }
    }
}
