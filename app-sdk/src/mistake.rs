//! Mistakes: what cannot work in an application, each with its remedy.

use core::fmt;

use alloc::string::String;
use alloc::vec::Vec;

/// Something in an application that cannot work, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(String);

impl Mistake {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All mistakes of an application, found before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    application: String,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// What is wrong with `application`.
    pub(crate) fn new(application: String, list: Vec<Mistake>) -> Self {
        Self { application, list }
    }

    /// The mistakes, in the order in which they were made.
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application `{}` cannot run:", self.application)?;
        self.list.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

impl core::error::Error for Mistakes {}
