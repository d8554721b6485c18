//! How a setting of each type is read: from its flag, and from its key in the configuration file.
//!
//! ```text
//!   SettingValue one thing that can be given: a number, a list of CPUs, an address, a word
//!   Setting      a field of Config: a value, a value or none, a switch, a list
//! ```
//!
//! A flag that cannot be parsed is wrong usage; a key that cannot is a wrong file, and the message
//! shows nothing of a token that may stand there.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use potoroo_runtime::Idle;
use serde::de::DeserializeOwned;

use crate::checkpoint::Epoch;
use crate::checkpoint::store::Location;
use crate::cluster::shares::Weight;
use crate::connect::address::SinkAddress;
use crate::connect::registry::without_token;

use super::choice::{SummaryFormat, idle_name, parse_idle, parse_report, report_name};
use super::cpus::parse_cpus;
use super::edge::parse_sink;
use super::error::Error;
use super::member::{ClusterPlace, NodeName};
use super::skip::Skip;

/// How a setting is called.
#[derive(Clone, Copy)]
pub(in crate::control) struct Names {
    /// Its key in the configuration file, and its identity among the flags.
    pub(in crate::control) key: &'static str,
    /// Its flag as help shows it: `--spin-us N`, `--quiet`.
    pub(in crate::control) flag: &'static str,
}

impl Names {
    /// The flag without dashes and without its value.
    pub(in crate::control) fn long(self) -> &'static str {
        self.split().0
    }

    /// What help shows for its value; empty for a switch.
    pub(in crate::control) fn unit(self) -> &'static str {
        self.split().1
    }

    fn split(self) -> (&'static str, &'static str) {
        let flag = self.flag.strip_prefix("--").expect("a flag begins with two dashes");
        flag.split_once(' ').unwrap_or((flag, ""))
    }
}

/// A field of the configuration that a flag or a key sets.
pub(super) trait Setting {
    /// What stands in the file; its default where nothing does.
    type File: DeserializeOwned + Default;

    /// How help shows it as a default, if it does.
    fn shown(&self) -> Option<String>;

    /// The number that must be within the range, if there is one.
    fn number(&self) -> Option<u64> {
        None
    }

    /// The flag that sets it.
    fn argument(argument: Arg) -> Arg;

    /// Takes over what the flag gave, if it was given.
    fn take_flag(&mut self, names: Names, matches: &mut ArgMatches) -> Result<(), Error>;

    /// Takes over what the file gives, if it gives anything.
    fn take_key(&mut self, names: Names, given: Self::File) -> Result<(), Error>;
}

/// One thing that a flag or a key gives.
pub(super) trait SettingValue: Sized {
    /// What the flag is parsed to; what then fails is no wrong usage.
    type Flag: Clone + Send + Sync + 'static;
    /// What stands in the file.
    type File: DeserializeOwned;

    fn parser() -> ValueParser;

    fn of_flag(flag: &'static str, given: Self::Flag) -> Result<Self, Error>;

    fn of_key(key: &'static str, given: Self::File) -> Result<Self, Error>;

    fn shown(&self) -> Option<String> {
        None
    }

    fn number(&self) -> Option<u64> {
        None
    }
}

fn flag_of<T: SettingValue>(names: Names, matches: &mut ArgMatches) -> Result<Option<T>, Error> {
    let given = matches.remove_one::<T::Flag>(names.key);
    given.map(|given| T::of_flag(names.long(), given)).transpose()
}

fn key_of<T: SettingValue>(names: Names, given: Option<T::File>) -> Result<Option<T>, Error> {
    given.map(|given| T::of_key(names.key, given)).transpose()
}

impl<T: SettingValue> Setting for T {
    type File = Option<T::File>;

    fn shown(&self) -> Option<String> {
        SettingValue::shown(self)
    }

    fn number(&self) -> Option<u64> {
        SettingValue::number(self)
    }

    fn argument(argument: Arg) -> Arg {
        argument.value_parser(T::parser())
    }

    fn take_flag(&mut self, names: Names, matches: &mut ArgMatches) -> Result<(), Error> {
        flag_of(names, matches).map(|given| given.into_iter().for_each(|given| *self = given))
    }

    fn take_key(&mut self, names: Names, given: Self::File) -> Result<(), Error> {
        key_of(names, given).map(|given| given.into_iter().for_each(|given| *self = given))
    }
}

impl<T: SettingValue> Setting for Option<T> {
    type File = Option<T::File>;

    fn shown(&self) -> Option<String> {
        self.as_ref().and_then(SettingValue::shown)
    }

    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(SettingValue::number)
    }

    fn argument(argument: Arg) -> Arg {
        T::argument(argument)
    }

    fn take_flag(&mut self, names: Names, matches: &mut ArgMatches) -> Result<(), Error> {
        flag_of(names, matches).map(|given| *self = given.or(self.take()))
    }

    fn take_key(&mut self, names: Names, given: Self::File) -> Result<(), Error> {
        key_of(names, given).map(|given| *self = given.or(self.take()))
    }
}

/// A switch: its flag has no value, and switches off where its name begins with `no-`.
impl Setting for bool {
    type File = Option<bool>;

    fn shown(&self) -> Option<String> {
        None
    }

    fn argument(argument: Arg) -> Arg {
        argument.action(ArgAction::SetTrue)
    }

    fn take_flag(&mut self, names: Names, matches: &mut ArgMatches) -> Result<(), Error> {
        if matches.get_flag(names.key) {
            *self = !names.long().starts_with("no-");
        }
        Ok(())
    }

    fn take_key(&mut self, _: Names, given: Self::File) -> Result<(), Error> {
        *self = given.unwrap_or(*self);
        Ok(())
    }
}

/// A list: its flag may be given several times, and adds to what the file has.
impl Setting for Vec<Skip> {
    type File = Vec<String>;

    fn shown(&self) -> Option<String> {
        None
    }

    fn argument(argument: Arg) -> Arg {
        argument.value_parser(value_parser!(Skip)).action(ArgAction::Append)
    }

    fn take_flag(&mut self, names: Names, matches: &mut ArgMatches) -> Result<(), Error> {
        self.extend(matches.remove_many::<Skip>(names.key).into_iter().flatten());
        Ok(())
    }

    fn take_key(&mut self, _: Names, given: Self::File) -> Result<(), Error> {
        for text in given {
            self.push(text.parse().map_err(|cause| Error::Skip { cause })?);
        }
        Ok(())
    }
}

/// A list of names.
impl Setting for Vec<String> {
    type File = Self;

    fn shown(&self) -> Option<String> {
        None
    }

    fn argument(argument: Arg) -> Arg {
        argument.value_parser(value_parser!(String)).action(ArgAction::Append)
    }

    fn take_flag(&mut self, names: Names, matches: &mut ArgMatches) -> Result<(), Error> {
        self.extend(matches.remove_many::<String>(names.key).into_iter().flatten());
        Ok(())
    }

    fn take_key(&mut self, _: Names, given: Self) -> Result<(), Error> {
        self.extend(given);
        Ok(())
    }
}

/// A number of this type.
macro_rules! number {
    ($type:ty) => {
        impl SettingValue for $type {
            type Flag = Self;
            type File = Self;

            fn parser() -> ValueParser {
                value_parser!($type).into()
            }

            fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
                Ok(given)
            }

            fn of_key(_: &'static str, given: Self) -> Result<Self, Error> {
                Ok(given)
            }

            fn shown(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn number(&self) -> Option<u64> {
                Some(*self as u64)
            }
        }
    };
}

number!(u64);
number!(usize);

impl SettingValue for Epoch {
    type Flag = Self;
    type File = Self;

    fn parser() -> ValueParser {
        value_parser!(Self).into()
    }

    fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }

    fn of_key(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }
}

impl SettingValue for Idle {
    type Flag = Self;
    type File = String;

    fn parser() -> ValueParser {
        let parse = |text: &str| {
            parse_idle(text).ok_or_else(|| "it is `spin`, `adaptive` or `park`".to_string())
        };
        ValueParser::new(parse)
    }

    fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }

    fn of_key(_: &'static str, text: String) -> Result<Self, Error> {
        parse_idle(&text).ok_or_else(|| Error::Idle { text: without_token(&text) })
    }

    fn shown(&self) -> Option<String> {
        Some(idle_name(*self).to_string())
    }
}

impl SettingValue for SummaryFormat {
    type Flag = Self;
    type File = String;

    fn parser() -> ValueParser {
        value_parser!(Self).into()
    }

    fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }

    fn of_key(_: &'static str, text: String) -> Result<Self, Error> {
        parse_report(&text).ok_or_else(|| Error::Report { text: without_token(&text) })
    }

    fn shown(&self) -> Option<String> {
        Some(report_name(*self).to_string())
    }
}

impl SettingValue for Vec<usize> {
    type Flag = Self;
    type File = String;

    fn parser() -> ValueParser {
        ValueParser::new(|text: &str| parse_cpus(text).map_err(|error| error.to_string()))
    }

    fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }

    fn of_key(_: &'static str, text: String) -> Result<Self, Error> {
        parse_cpus(&text)
    }
}

/// A text that is parsed.
macro_rules! parsed {
    ($type:ty) => {
        impl SettingValue for $type {
            type Flag = Self;
            type File = String;

            fn parser() -> ValueParser {
                ValueParser::new(|text: &str| text.parse::<Self>())
            }

            fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
                Ok(given)
            }

            fn of_key(key: &'static str, text: String) -> Result<Self, Error> {
                text.parse().map_err(|cause: <Self as FromStr>::Err| Error::Member {
                    key,
                    cause: cause.into(),
                })
            }
        }
    };
}

impl SettingValue for PathBuf {
    type Flag = Self;
    type File = Self;

    fn parser() -> ValueParser {
        value_parser!(Self)
    }

    fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }

    fn of_key(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }
}

parsed!(ClusterPlace);
parsed!(NodeName);
parsed!(Weight);

impl SettingValue for SocketAddr {
    type Flag = Self;
    type File = String;

    fn parser() -> ValueParser {
        let remedy = "write address and port in numbers: 127.0.0.1:9090";
        ValueParser::new(move |text: &str| text.parse::<Self>().map_err(|_| remedy.to_string()))
    }

    fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }

    fn of_key(key: &'static str, text: String) -> Result<Self, Error> {
        text.parse().map_err(|_| Error::Socket { key, text: without_token(&text) })
    }

    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for SinkAddress {
    type Flag = String;
    type File = String;

    fn parser() -> ValueParser {
        value_parser!(String)
    }

    fn of_flag(flag: &'static str, text: String) -> Result<Self, Error> {
        parse_sink(&format!("`--{flag}`"), &text)
    }

    fn of_key(key: &'static str, text: String) -> Result<Self, Error> {
        parse_sink(&format!("`{key}`"), &text)
    }
}

impl SettingValue for Location {
    type Flag = Self;
    type File = String;

    fn parser() -> ValueParser {
        place()
    }

    fn of_flag(_: &'static str, given: Self) -> Result<Self, Error> {
        Ok(given)
    }

    fn of_key(_: &'static str, text: String) -> Result<Self, Error> {
        text.parse().map_err(|cause| Error::State { cause })
    }
}

/// Parses `--state`; a folder need not be text.
pub(in crate::control) fn place() -> ValueParser {
    OsStringValueParser::new().try_map(|text: OsString| Location::parse(&text)).into()
}
