//! The command line that every application gets. Owns its flags and their help, decides nothing:
//! what they mean and what may be in them stands at [`Config`].
//!
//! Help prints every default from the constant that applies it, so that the two cannot differ.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;

use crate::checkpoint::store::Place;
use crate::connect::address::Edge;

use super::config::{self, Config, ConfigFile, Error, Report, Skip, parse_cpus, parse_idle};
use super::config::{parse_sink, parse_source, set};
use super::exit::Exit;
use potoroo_runtime::Idle;

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
pub struct Arguments {
    /// Address of a source, once for each
    #[arg(long, value_name = "NAME=URL", value_parser = Pair)]
    source: Vec<(String, String)>,

    /// Address of a sink, once for each
    #[arg(long, value_name = "NAME=URL", value_parser = Pair)]
    sink: Vec<(String, String)>,

    /// TOML file with the same names as these flags; a flag wins over the file [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// CPUs, one core of the engine for each entry: `0,2-3` [default: every allowed CPU]
    #[arg(long, value_name = "LIST", value_parser = parse_cores)]
    cores: Option<Cpus>,

    /// CPUs out of --cores whose cores own state [default: all of them]
    #[arg(long, value_name = "LIST", value_parser = parse_cores)]
    state_cores: Option<Cpus>,

    #[arg(long, value_name = "spin|adaptive|park", value_parser = parse_strategy,
        help = format!("What a core does when there is nothing to do [default: {}]",
            config::idle_name(config::IDLE_DEFAULT)))]
    idle: Option<Idle>,

    #[arg(long, value_name = "N",
        help = format!("Microseconds that an adaptive core spins before it parks [default: {}]",
            config::SPIN_US_DEFAULT))]
    spin_us: Option<u64>,

    #[arg(long, value_name = "N",
        help = format!("Seconds to run [default: until the sources end or a signal comes; {} \
            without any address]", config::DEMONSTRATION_SECONDS))]
    seconds: Option<u64>,

    /// Form of the summary; json is one object on the last line of standard output; text goes to
    /// standard error if a sink writes to standard output [default: text]
    #[arg(long, value_name = "text|json", value_enum, hide_possible_values = true)]
    report: Option<Report>,

    /// Print the plan, the guarantee of each path and the memory bill, and run nothing
    #[arg(long)]
    check: bool,

    /// Loopback address for /status and /metrics over HTTP [default: no port is open]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_admin)]
    admin: Option<SocketAddr>,

    /// Sink for input that cannot be understood [default: it is counted and sampled into the log]
    #[arg(long, value_name = "URL")]
    dead_letters: Option<String>,

    #[arg(long, value_name = "N",
        help = format!("Bytes of each ring between two cores, a power of two [default: {}]",
            config::LANE_BYTES_DEFAULT))]
    lane_bytes: Option<usize>,

    #[arg(long, value_name = "N",
        help = format!("Bytes of the receive buffer of each connection, and of the longest frame \
            [default: {}]", config::INLET_BYTES_DEFAULT))]
    inlet_bytes: Option<usize>,

    #[arg(long, value_name = "N",
        help = format!("Bytes of the send buffer of each sink and connection [default: {}]",
            config::OUTLET_BYTES_DEFAULT))]
    outlet_bytes: Option<usize>,

    #[arg(long, value_name = "N",
        help = format!("Milliseconds that a connection may keep its send buffer full before it is \
            closed and its replies are lost [default: {}]", config::REPLY_STALL_MS_DEFAULT))]
    reply_stall_ms: Option<u64>,

    #[arg(long, value_name = "N",
        help = format!("Connections of all tcp sources that may be open at once; others wait \
            [default: {}]", config::CONNECTIONS_MAX_DEFAULT))]
    connections_max: Option<usize>,

    #[arg(long, value_name = "N",
        help = format!("Partitions of the keys, fixed for the application's life [default: {}]",
            config::PARTITIONS_DEFAULT))]
    partitions: Option<usize>,

    #[arg(long, value_name = "N",
        help = format!("Seconds without a turn after which a core counts as stalled \
            [default: {}]", config::HEARTBEAT_SECONDS_DEFAULT))]
    heartbeat_seconds: Option<u64>,

    #[arg(long, value_name = "N",
        help = format!("Seconds that stopping may take to deliver what is held [default: {}]",
            config::DRAIN_SECONDS_DEFAULT))]
    drain_seconds: Option<u64>,

    /// Folder or s3://BUCKET/PREFIX in which checkpoints are kept; the application goes on from the
    /// last one [default: state ends with the process]
    #[arg(long, value_name = "DIR|URL", value_parser = place())]
    state: Option<Place>,

    #[arg(long, value_name = "N",
        help = format!("Milliseconds between checkpoints [default: {}]",
            config::CHECKPOINT_MS_DEFAULT))]
    checkpoint_ms: Option<u64>,

    #[arg(long, value_name = "N",
        help = format!("Microseconds of a turn that a checkpoint may take [default: {}]",
            config::CHECKPOINT_BUDGET_US_DEFAULT))]
    checkpoint_budget_us: Option<u64>,

    #[arg(long, value_name = "N",
        help = format!("Bytes of frames that a core keeps for a checkpoint [default: {}]",
            config::CHECKPOINT_LOG_BYTES_DEFAULT))]
    checkpoint_log_bytes: Option<usize>,

    #[arg(long, value_name = "N",
        help = format!("Checkpoints that are kept [default: {}]",
            config::CHECKPOINTS_KEPT_DEFAULT))]
    checkpoints_kept: Option<usize>,

    #[arg(long, value_name = "N",
        help = format!("Bytes of committed output that may wait for a `potoroo:` sink before \
            sources are held back [default: {}]",
            config::SINK_BACKLOG_BYTES_DEFAULT))]
    sink_backlog_bytes: Option<u64>,

    /// Go back to this kept checkpoint; what was committed behind it is output again
    /// [default: the last one]
    #[arg(long, value_name = "EPOCH")]
    restore: Option<u64>,

    /// Position of an event that becomes a dead letter instead of being run, once for each: what
    /// the report of a panic names [default: none]
    #[arg(long, value_name = "SOURCE=POSITION")]
    skip: Vec<Skip>,

    /// Show no progress on standard error
    #[arg(long)]
    no_progress: bool,

    /// Write nothing to standard error but warnings and errors: no guarantees, findings or progress
    #[arg(long)]
    quiet: bool,

    /// Print a table as it is in the checkpoint of --restore, or in the last one, as lines of JSON
    /// on standard output, and run nothing [default: none]
    #[arg(long, value_name = "TABLE", requires = "state")]
    pub(super) export: Option<String>,

    /// Print the application's name and the version of the engine
    #[arg(short = 'V', long)]
    pub(super) version: bool,
}

impl Arguments {
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
        set(&mut config.cores, self.cores.map(|cpus| cpus.0));
        config.state_cores = self.state_cores.map(|cpus| cpus.0).or(config.state_cores);
        set(&mut config.idle, self.idle);
        set(&mut config.spin_us, self.spin_us);
        config.seconds = self.seconds.or(config.seconds);
        set(&mut config.report, self.report);
        config.admin = self.admin.or(config.admin);
        let dead_letters = self.dead_letters.map(|text| parse_sink("`--dead-letters`", &text));
        config.dead_letters = dead_letters.transpose()?.or(config.dead_letters);
        set(&mut config.lane_bytes, self.lane_bytes);
        set(&mut config.inlet_bytes, self.inlet_bytes);
        set(&mut config.outlet_bytes, self.outlet_bytes);
        set(&mut config.reply_stall_ms, self.reply_stall_ms);
        set(&mut config.connections_max, self.connections_max);
        set(&mut config.partitions, self.partitions);
        set(&mut config.heartbeat_seconds, self.heartbeat_seconds);
        set(&mut config.drain_seconds, self.drain_seconds);
        config.state = self.state.or(config.state);
        set(&mut config.checkpoint_ms, self.checkpoint_ms);
        set(&mut config.checkpoint_budget_us, self.checkpoint_budget_us);
        set(&mut config.checkpoint_log_bytes, self.checkpoint_log_bytes);
        set(&mut config.checkpoints_kept, self.checkpoints_kept);
        set(&mut config.sink_backlog_bytes, self.sink_backlog_bytes);
        config.restore = self.restore.or(config.restore);
        config.skip.extend(self.skip);
        config.check |= self.check;
        config.progress &= !self.no_progress;
        config.quiet |= self.quiet;
        Ok(config)
    }
}

/// A list of CPUs; a type of its own because clap takes a bare `Vec` for a repeated flag.
#[derive(Clone, Debug)]
struct Cpus(Vec<usize>);

fn parse_cores(text: &str) -> Result<Cpus, String> {
    parse_cpus(text).map(Cpus).map_err(|error| error.to_string())
}

/// Parses `--state`; a folder need not be text.
pub(super) fn place() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().try_map(|text| Place::parse(&text))
}

fn parse_admin(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write address and port in numbers: 127.0.0.1:9090".to_string())
}

fn parse_strategy(text: &str) -> Result<Idle, String> {
    parse_idle(text).ok_or_else(|| "it is `spin`, `adaptive` or `park`".to_string())
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
        "Sources:
  tcp://HOST:PORT   listens; ?connections=N ends after N connections were closed
                    [default: never]
  potoroo://HOST:PORT  listens for clients of the connector protocol; ?token-file=PATH with the
                    token that they have to know, or ?token=TEXT; &streams=N ends after N streams
                    have [default: never]
  file:PATH         reads a file to its end; of a named pipe, what is written into it
  gen:NAME          makes events up; ?rate=N|max events/s [default: {}]
                    &seed=N [default: {}] &count=N events [default: no limit]

Sinks:
  tcp://HOST:PORT   connects, and waits for an absent peer; ?sequence=true puts the id of its
                    input before each output [default: false]
  potoroo://HOST:PORT  connects to a client of the connector protocol, with --state only;
                    ?token-file=PATH with the token that it has to know of us, or ?token=TEXT;
                    &lost=TRANSACTION takes a client that has lost what it had up to there
  file:PATH         creates and truncates; ?append=true writes behind [default: false]; a named
                    pipe is opened when somebody reads it
  stdout:           standard output
  null:             counts and drops

Logging goes to standard error; the environment variable POTOROO_LOG sets its level
[default: {}].

{}",
        crate::connect::address::RATE_DEFAULT,
        crate::connect::address::SEED_DEFAULT,
        super::logging::LEVEL_DEFAULT,
        Exit::HELP
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(flags: &str) -> Result<Config, Error> {
        let flags = std::iter::once("market-spread").chain(flags.split_whitespace());
        Arguments::try_parse_from(flags).expect("valid usage").config()
    }

    fn usage_error(flags: &str) -> String {
        let flags = std::iter::once("market-spread").chain(flags.split_whitespace());
        let error = Arguments::try_parse_from(flags).expect_err("wrong usage");
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
        assert_eq!((config.report, config.check, config.progress), (Report::Json, true, false));
        assert_eq!(config.dead_letters.map(|sink| sink.to_string()), Some("file:dead".into()));
        assert_eq!(config.lane_bytes, 8192);
    }

    #[test]
    fn no_flags_mean_the_defaults() {
        assert_eq!(parse("").expect("a configuration"), Config::default());
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
        let mut command = Arguments::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        let squeezed = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for argument in command.get_arguments().filter(|argument| {
            argument.get_action().takes_values()
                && !["source", "sink"].contains(&argument.get_id().as_str())
        }) {
            let text = argument.get_help().expect("help").to_string();
            assert!(text.contains("[default: "), "{argument} does not tell its default");
        }
        for part in ["[default: 262144]", "[default: adaptive]", "Exit codes:", "gen:NAME"] {
            assert!(squeezed.contains(part), "`{part}` is not in: {help}");
        }
    }
}
