//! Decides: what runs where, when it stops and what is told about it. Cold code only.

pub mod config;
pub mod cli;
pub mod exit;
pub mod logging;
pub mod report;
pub mod admin;
