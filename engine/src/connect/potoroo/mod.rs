//! The connector protocol: a source whose clients send again what no checkpoint holds, and a sink
//! whose client gets committed output only, each transaction once.
//!
//! ```text
//!   source   potoroo://HOST:PORT  listens   ?token=TEXT|token-file=PATH &streams=N
//!   sink     potoroo://HOST:PORT  connects  ?token=TEXT|token-file=PATH &lost=TRANSACTION
//! ```

pub mod answers;
pub mod serve;
pub mod streams;

pub mod deliver;
pub mod hold;
