//! The token in an address of the connector protocol.

use std::path::Path;

use crate::connect::address::{Error, Parts};
use crate::connect::token::{Token, TokenAt};

/// Takes the options of a token out.
pub(super) fn parse(parts: &mut Parts<'_>) -> Result<TokenAt, Error> {
    let remedy = "`token-file=PATH`, and no `token=`";
    match (parts.take("token"), parts.take("token-file")) {
        (Some(_), Some(_)) => Err(parts.malformed("it has two tokens", remedy)),
        (None, Some("")) => Err(parts.malformed("its token-file names no file", remedy)),
        (None, Some(path)) => Ok(TokenAt::File(path.into())),
        (text, None) => Ok(TokenAt::Address(text.map(Token::new).unwrap_or_default())),
    }
}

/// What stands before an option that follows the token.
pub(super) fn sign(token: &TokenAt) -> char {
    if matches!(token, TokenAt::File(_)) { '&' } else { '?' }
}

/// The file in which the token is.
pub(super) fn file(token: &TokenAt) -> Option<&Path> {
    match token {
        TokenAt::File(path) => Some(path),
        TokenAt::Address(_) => None,
    }
}
