//! A swap of HEAD whose answer is unclear: it is repeated until the storage says what became of it.
//!
//! Promises: from the first unclear answer on, a failure counts as unclear, too. It says that this
//! try did nothing, and an earlier one may have done it: a checkpoint that is committed must not be
//! aborted. Must never do: take the absence of an answer for one.

use std::time::{Duration, Instant};

use crate::checkpoint::coordinator::CoordinatorInput;
use crate::checkpoint::store;
use crate::system;

/// From the first unclear answer on, HEAD is swapped again for this long.
const UNCLEAR_MAX: Duration = Duration::from_secs(120);

/// Pause between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// Acts until the answer is clear, and returns it.
///
/// # Errors
/// It stays unclear whether HEAD was swapped, or another coordinator has taken over.
pub(super) fn act_until_clear(
    mut act: impl FnMut() -> Result<Option<CoordinatorInput>, store::Error>,
) -> Result<Option<CoordinatorInput>, String> {
    let mut unclear_since: Option<Instant> = None;
    loop {
        let cause = match act() {
            Ok(Some(CoordinatorInput::Swapped(Err(cause)))) if unclear_since.is_some() => cause,
            Err(error @ store::Error::Unclear { .. }) => error.to_string(),
            Err(error) => return Err(error.to_string()),
            Ok(input) => return Ok(input),
        };
        if unclear_since.is_none() {
            tracing::warn!("{cause}; for {UNCLEAR_MAX:?} at most");
        }
        let since = *unclear_since.get_or_insert_with(system::now);
        if system::since(since) >= UNCLEAR_MAX {
            return Err(format!(
                "for {UNCLEAR_MAX:?} it was unclear whether the last checkpoint was committed: \
                 {cause}"
            ));
        }
        system::sleep(AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::{Arc, Mutex};

    use potoroo_runtime::Nanos;

    use super::*;
    use crate::system::{SimulatedSystem, simulate};

    /// Time that goes on in pauses only.
    struct PausedClock(Instant, Mutex<Duration>);

    impl SimulatedSystem for PausedClock {
        fn now(&self) -> Instant {
            self.0 + *self.1.lock().expect("no test panics under it")
        }

        fn boottime(&self) -> Duration {
            unreachable!("no lease is looked at")
        }

        fn machine_time(&self) -> Nanos {
            unreachable!("no core is there")
        }

        fn draw(&self) -> u64 {
            unreachable!("nothing gets a name")
        }

        fn pause(&self, pause: Duration) {
            *self.1.lock().expect("no test panics under it") += pause;
        }

        fn wait(&self, _: Duration) {
            unreachable!("no other thread is waited for")
        }

        fn wake(&self) {}

        fn start(&self, _: &str, _: Box<dyn FnOnce() + Send>) -> Box<dyn FnOnce() + Send> {
            unreachable!("no thread is started")
        }
    }

    type Answer = Result<Option<CoordinatorInput>, store::Error>;

    fn unclear() -> Answer {
        let (object, cause) = ("HEAD".to_owned(), ErrorKind::TimedOut.into());
        Err(store::Error::Unclear { object, cause })
    }

    fn away() -> Answer {
        Ok(Some(CoordinatorInput::Swapped(Err("the storage is away".to_owned()))))
    }

    /// What comes of these answers, the last of which is repeated, and after how long.
    fn act(answers: &[fn() -> Answer]) -> (Result<Option<CoordinatorInput>, String>, Duration) {
        let clock = Arc::new(PausedClock(Instant::now(), Mutex::default()));
        simulate(Some(clock.clone()));
        let mut rest = answers.iter();
        let mut last = answers[0];
        let done = act_until_clear(|| {
            last = *rest.next().unwrap_or(&last);
            last()
        });
        simulate(None);
        (done, clock.1.lock().map(|time| *time).expect("no test panics under it"))
    }

    #[test]
    fn a_failure_after_an_unclear_answer_says_nothing() {
        let done = || Ok(Some(CoordinatorInput::Swapped(Ok(()))));
        let (found, took) = act(&[unclear, away, away, unclear, away, done]);
        assert!(matches!(found, Ok(Some(CoordinatorInput::Swapped(Ok(()))))), "{found:?}");
        assert_eq!(took, 5 * AGAIN);
    }

    #[test]
    fn a_failure_at_first_is_one() {
        let (found, took) = act(&[away]);
        assert!(matches!(found, Ok(Some(CoordinatorInput::Swapped(Err(_))))), "{found:?}");
        assert_eq!(took, Duration::ZERO);
    }

    #[test]
    fn what_stays_unclear_is_an_error_after_a_while() {
        for answers in [&[unclear as fn() -> Answer][..], &[unclear, away]] {
            let (found, took) = act(answers);
            let reason = found.expect_err("it stays unclear");
            assert!(reason.contains("unclear whether the last checkpoint"), "{reason}");
            assert_eq!(took, UNCLEAR_MAX);
        }
    }

    #[test]
    fn one_that_was_overtaken_does_not_try_again() {
        let overtaken = || Err(store::Error::Overtaken { expected: None, found: None });
        let (found, took) = act(&[unclear, overtaken]);
        assert!(found.expect_err("it may not go on").contains("another coordinator"));
        assert_eq!(took, AGAIN);
    }
}
