//! Contenders: how they are set up, measured in windows, and ended.

use anyhow::Result;

/// A contender that is set up. Between its windows it takes no CPU that something else wants.
pub trait WindowRunner<T> {
    /// Measures one window.
    ///
    /// # Errors
    /// The contender failed, and takes no further part.
    fn window(&mut self) -> Result<T>;

    /// Ends the contender and proves that all of its windows did the work.
    ///
    /// # Errors
    /// They did not.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A contender without anything to set up.
impl<T, F: FnMut() -> Result<T>> WindowRunner<T> for F {
    fn window(&mut self) -> Result<T> {
        self()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Sets a contender up.
type Start<'a, T> = Box<dyn FnMut() -> Result<Box<dyn WindowRunner<T> + 'a>> + 'a>;

/// One way to do the work.
pub struct Entrant<'a, T> {
    pub(super) name: &'static str,
    pub(super) start: Start<'a, T>,
}

impl<'a, T: 'a> Entrant<'a, T> {
    /// A contender that keeps its set-up from window to window.
    pub fn new<W: WindowRunner<T> + 'a>(
        name: &'static str,
        mut start: impl FnMut() -> Result<W> + 'a,
    ) -> Self {
        let start =
            move || start().map(|windows| Box::new(windows) as Box<dyn WindowRunner<T> + 'a>);
        Self { name, start: Box::new(start) }
    }

    /// A contender that is set up and proves its work in each window.
    pub fn of_window(name: &'static str, window: impl FnMut() -> Result<T> + Clone + 'a) -> Self {
        Self::new(name, move || Ok(window.clone()))
    }
}
