//! The documents are true: their Rust code is compiled and run; their flags, defaults, exit codes,
//! addresses, paths, commands and links are those of the workspace.
//!
//! ```text
//!   documents      finds and cuts the documents
//!   application    the Rust code of README and engine/README
//!   flags          flags, defaults, addresses, exit codes, as the help has them
//!   links          links and paths lead to something
//!   commands       commands name what there is
//!   deploy         the commands of the guide to clusters run
//! ```

mod application;
mod commands;
mod deploy;
mod documents;
mod flags;
mod links;
#[path = "../support/mod.rs"]
mod support;
