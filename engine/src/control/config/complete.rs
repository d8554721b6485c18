//! The gate between what was configured and what runs: [`Config::complete`].

use crate::checkpoint::store::Location;
use crate::connect::address::{Edge, GeneratorAddress, SinkAddress, SourceAddress};
use crate::connect::promise::SkipMistake;
use crate::connect::registry::without_token;

use super::cpus::{cpus_allowed, print_cpus};
use super::error::{Error, Errors};
use super::member::NodeName;
use super::settings::{Config, DEMONSTRATION_SECONDS, LEASE_MS_ETCD_MIN};

/// What a configuration has to know about its application.
#[derive(Clone, Debug)]
pub struct Outline<'a> {
    /// The application's name.
    pub application: &'a str,
    /// Each source, and whether a generator has the same name.
    pub sources: &'a [(&'a str, bool)],
    /// Each named sink; replies have no name and no address.
    pub sinks: &'a [&'a str],
}

/// A configuration that was checked: valid, and complete for its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteConfig {
    /// The configuration.
    pub config: Config,
    /// One line for standard error, if something was decided that the user did not set.
    pub notice: Option<String>,
}

impl Config {
    /// Checks everything, and fills in a demonstration if no address is given at all and every
    /// source has a generator of its own name.
    ///
    /// # Errors
    /// All that is wrong, in one go: edges without address, addresses without edge, limits out of
    /// range, CPUs that this process may not use, an admin port that is not on loopback.
    pub fn complete(mut self, facts: &Outline<'_>) -> Result<CompleteConfig, Errors> {
        let notice = self.demonstrate(facts);
        if let Some(place) = &self.cluster {
            self.node.get_or_insert_with(NodeName::of_host);
            let beside = place.folder().map(|folder| Location::Folder(folder.join("state")));
            self.state = self.state.take().or(beside);
        }
        let mut list = self.check_sources(facts);
        list.extend(self.check_sinks(facts));
        list.extend(self.check_cores(&cpus_allowed()));
        list.extend(self.out_of_range());
        list.extend(self.check_skips(facts));
        list.extend(self.check_cluster());
        list.extend(self.check_listen());
        list.extend(self.check_tls());
        let admin = self.admin.filter(|address| !address.ip().is_loopback());
        list.extend(admin.map(|address| Error::AdminNotLoopback { address }));
        match list.is_empty() {
            true => Ok(CompleteConfig { config: self, notice }),
            false => Err(Errors { application: facts.application.to_string(), list }),
        }
    }

    /// Strangers may be able to read what nodes send each other.
    fn check_listen(&self) -> Option<Error> {
        let advertised = self.advertise.unwrap_or(self.listen);
        let beyond = [self.listen, advertised].into_iter().find(|it| !it.ip().is_loopback());
        match beyond {
            Some(address) if !self.links_in_the_clear && !self.is_encrypted() => {
                Some(Error::ListenNotLoopback { address })
            }
            _ if advertised.ip().is_unspecified() => {
                Some(Error::NoAdvertise { address: advertised })
            }
            _ => None,
        }
    }

    /// A checkpoint is what nodes go on from.
    fn check_cluster(&self) -> Option<Error> {
        let place = self.cluster.as_ref()?;
        let short =
            place.folder().is_none() && self.lease_ms.is_some_and(|ms| ms < LEASE_MS_ETCD_MIN);
        match self.lease_ms {
            _ if self.state.is_none() => {
                Some(Error::ClusterWithoutState { place: place.to_string() })
            }
            Some(ms) if short => Some(Error::LeaseTooShort { ms, least: LEASE_MS_ETCD_MIN }),
            _ => None,
        }
    }

    fn demonstrate(&mut self, facts: &Outline<'_>) -> Option<String> {
        let unconfigured = self.sources.is_empty() && self.sinks.is_empty();
        let generated = facts.sources.iter().all(|(_, generator)| *generator);
        if !unconfigured || !generated || facts.sources.is_empty() {
            return None;
        }
        for (name, _) in facts.sources {
            let address = SourceAddress::Generator(GeneratorAddress::new(*name));
            self.sources.insert(name.to_string(), address);
        }
        self.sinks.extend(facts.sinks.iter().map(|name| (name.to_string(), SinkAddress::Null)));
        let seconds = *self.seconds.get_or_insert(DEMONSTRATION_SECONDS);
        Some(format!(
            "no address is given: `{}` runs on generated events for {seconds} s and drops its \
             outputs; see --help for --source and --sink",
            facts.application
        ))
    }

    fn check_sources(&self, facts: &Outline<'_>) -> Vec<Error> {
        let names: Vec<&str> = facts.sources.iter().map(|(name, _)| *name).collect();
        let missing = facts.sources.iter().filter(|(name, _)| !self.sources.contains_key(*name));
        let remedy = |name: &str, generator: bool| match generator {
            true => format!("--source {name}=gen:{name}"),
            false => format!("--source {name}=tcp://HOST:PORT` or `--source {name}=file:PATH"),
        };
        let missing = missing.map(|(name, generator)| Error::NoAddress {
            edge: Edge::Source,
            name: name.to_string(),
            remedy: remedy(name, *generator),
        });
        missing.chain(unknown(Edge::Source, self.sources.keys(), &names)).collect()
    }

    fn check_sinks(&self, facts: &Outline<'_>) -> Vec<Error> {
        let missing = facts.sinks.iter().filter(|name| !self.sinks.contains_key(**name));
        let missing = missing.map(|name| Error::NoAddress {
            edge: Edge::Sink,
            name: name.to_string(),
            remedy: format!("--sink {name}=tcp://HOST:PORT` or `--sink {name}=null:"),
        });
        let unknown = unknown(Edge::Sink, self.sinks.keys(), facts.sinks);
        missing.chain(unknown).collect()
    }

    fn check_cores(&self, allowed: &[usize]) -> Vec<Error> {
        if self.cores.is_empty() {
            return vec![Error::NoCores { allowed: print_cpus(allowed) }];
        }
        let mut list: Vec<Error> = cpus_outside(&self.cores, allowed)
            .map(|cpus| Error::CpusNotAllowed { cpus, allowed: print_cpus(allowed) })
            .into_iter()
            .collect();
        let Some(state_cores) = &self.state_cores else { return list };
        let cores = || print_cpus(&self.cores);
        if state_cores.is_empty() {
            list.push(Error::NoStateCores { cores: cores() });
        }
        let strangers = cpus_outside(state_cores, &self.cores);
        list.extend(strangers.map(|cpus| Error::NotCores { cpus, cores: cores() }));
        list
    }

    /// Only what can be read again has events that come again, beside what a checkpoint holds: that
    /// is of any source, also of one that had an address of another kind before.
    fn check_skips(&self, facts: &Outline<'_>) -> Vec<Error> {
        let names: Vec<&str> = facts.sources.iter().map(|(name, _)| *name).collect();
        let mut list = unknown(Edge::Source, self.skip.iter().map(|skip| &skip.source), &names);
        for skip in &self.skip {
            let flag = skip.to_string();
            let Some(address) = self.sources.get(&skip.source) else { continue };
            let (named, checkpoints) = (skip.stream.is_some(), self.state.is_some());
            let wrong = match address.connector().check_skip(named, checkpoints) {
                Ok(()) => continue,
                Err(SkipMistake::Gone) => {
                    Error::SkipGone { skip: flag, source_name: skip.source.clone() }
                }
                Err(SkipMistake::Kind) => Error::SkipKind { skip: flag },
            };
            list.push(wrong);
        }
        list
    }
}

/// Those of `cpus` that are not among `known`, each once and as ranges; `None` if all are.
fn cpus_outside(cpus: &[usize], known: &[usize]) -> Option<String> {
    let mut outside: Vec<usize> = cpus.iter().copied().filter(|cpu| !known.contains(cpu)).collect();
    outside.sort_unstable();
    outside.dedup();
    (!outside.is_empty()).then(|| print_cpus(&outside))
}

fn unknown<'a>(edge: Edge, given: impl Iterator<Item = &'a String>, known: &[&str]) -> Vec<Error> {
    let list = match known {
        [] => "it has none".to_string(),
        names => format!("it has `{}`", names.join("`, `")),
    };
    let strangers = given.filter(|name| !known.contains(&name.as_str()));
    let unknown =
        |name: &String| Error::Unknown { edge, name: without_token(name), known: list.clone() };
    strangers.map(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Outline<'static> = Outline {
        application: "market-spread",
        sources: &[("orders", true), ("quotes", true)],
        sinks: &["rejections"],
    };

    fn source(text: &str) -> SourceAddress {
        text.parse().expect("a source")
    }

    fn errors(config: Config) -> String {
        config.complete(&FACTS).expect_err("an incomplete configuration").to_string()
    }

    fn demonstration() -> Config {
        Config::default().complete(&FACTS).expect("a demonstration").config
    }

    fn check_error(config: Config, parts: &[&str]) {
        let text = errors(config);
        for part in parts {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }

    #[test]
    fn nothing_given_is_a_demonstration() {
        let ready = Config::default().complete(&FACTS).expect("a demonstration");
        assert_eq!(ready.config.sources["quotes"], source("gen:quotes"));
        assert_eq!(ready.config.sinks["rejections"], SinkAddress::Null);
        assert_eq!(ready.config.seconds, Some(10));
        let notice = ready.notice.expect("a notice");
        assert!(notice.contains("for 10 s"), "{notice}");
        assert!(!notice.contains('\n'));
    }

    #[test]
    fn a_demonstration_keeps_the_seconds_given() {
        let config = Config { seconds: Some(2), ..Config::default() };
        assert_eq!(config.complete(&FACTS).expect("a demonstration").config.seconds, Some(2));
    }

    #[test]
    fn without_generators_nothing_is_invented() {
        let facts = Outline { sources: &[("orders", true), ("quotes", false)], ..FACTS };
        let text = Config::default().complete(&facts).expect_err("no address").to_string();
        assert_eq!(
            text,
            "application `market-spread` cannot run as configured:\
             \n  - source `orders` has no address: add `--source orders=gen:orders`\
             \n  - source `quotes` has no address: add `--source quotes=tcp://HOST:PORT` or \
             `--source quotes=file:PATH`\
             \n  - sink `rejections` has no address: add `--sink rejections=tcp://HOST:PORT` or \
             `--sink rejections=null:`"
        );
    }

    #[test]
    fn a_missing_sink_tells_the_null_sink() {
        let config =
            Config::default().source("orders", source("gen:a")).source("quotes", source("gen:b"));
        check_error(config, &["--sink rejections=null:"]);
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let config = demonstration().source("order", source("gen:orders"));
        check_error(config, &["no source `order`: it has `orders`, `quotes`"]);
        check_error(demonstration().sink("x", SinkAddress::Null), &["it has `rejections`"]);
        let named = demonstration().source("potoroo://h:1?token=hush", source("gen:orders"));
        assert!(!errors(named).contains("hush"));
    }

    #[test]
    fn what_cannot_be_read_again_has_no_event_to_skip() {
        let skip = |path: &str| {
            let base = Config::default().source("orders", source(&format!("file:{path}")));
            let skip = vec!["orders=0".parse().expect("a skip")];
            errors(Config { skip, ..base.sink("x", SinkAddress::Null) })
        };
        assert!(skip("/dev/null").contains("source `orders` cannot be read again"));
        assert!(!skip("/no/such/file").contains("again"));
    }

    #[test]
    fn cores_must_be_allowed() {
        let base = demonstration();
        let allowed = base.cores[0];
        check_error(Config { cores: vec![], ..base.clone() }, &["`cores` is empty"]);
        check_error(Config { cores: vec![1023], ..base.clone() }, &["CPU 1023,", "allowed are"]);
        let many = Config { cores: vec![1003, 1000, 1001, 1002, 1000, 1010], ..base.clone() };
        check_error(many, &["CPU 1000-1003,1010, which"]);
        let stranger = Some(vec![allowed, 1000]);
        check_error(Config { state_cores: stranger, ..base.clone() }, &["CPU 1000", "`cores`"]);
        check_error(Config { state_cores: Some(vec![]), ..base.clone() }, &["`state_cores` is"]);
        let shared = Config { cores: vec![allowed; 8], ..base };
        assert!(shared.complete(&FACTS).is_ok());
    }

    #[test]
    fn limits_name_their_range() {
        let base = demonstration();
        let odd = Config { lane_bytes: 5000, ..base.clone() };
        check_error(odd, &["`lane_bytes` cannot be 5000", "a power of two from", "such as 8192"]);
        let small = Config { lane_bytes: 1000, ..base.clone() };
        check_error(small, &["`lane_bytes` cannot be 1000: it is a power of two from 4096 to"]);
        let large = Config { lane_bytes: usize::MAX, ..base.clone() };
        check_error(large, &["such as 1073741824"]);
        let none = Config { partitions: 0, seconds: Some(0), ..base.clone() };
        check_error(none, &["`partitions` cannot be 0", "`seconds` cannot be 0"]);
        assert!(Config { partitions: 1000, ..base }.complete(&FACTS).is_ok());
    }

    #[test]
    fn the_admin_port_stays_on_loopback() {
        let open = Config { admin: "0.0.0.0:9090".parse().ok(), ..demonstration() };
        check_error(open, &["0.0.0.0:9090 is not on loopback", "127.0.0.1:9090"]);
    }
}
