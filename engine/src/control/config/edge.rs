//! Addresses of sources and sinks as a file or a command line may give them.

use std::str::FromStr;

use crate::connect::address::{self, SinkAddress, SourceAddress};
use crate::connect::registry::without_token;

use super::error::Error;

/// An address as a file or command line may give it to a source.
pub(in crate::control) fn parse_source(what: &str, text: &str) -> Result<SourceAddress, Error> {
    let address: SourceAddress = parse_address(what, text)?;
    match address.connector().is_embedded() {
        true => Err(Error::ChannelOutside { what: what.to_string() }),
        false => Ok(address),
    }
}

/// An address as a file or command line may give it to a sink.
pub(in crate::control) fn parse_sink(what: &str, text: &str) -> Result<SinkAddress, Error> {
    let address: SinkAddress = parse_address(what, text)?;
    match address.connector().is_embedded() {
        true => Err(Error::ChannelOutside { what: what.to_string() }),
        false => Ok(address),
    }
}

fn parse_address<T: FromStr<Err = address::Error>>(what: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|cause| Error::Address { what: without_token(what), cause })
}
