//! What lies where checkpoints are kept.

use super::{Error, State};
use crate::checkpoint::store::{self, Head, View};
use crate::checkpoint::{Past, history};

/// The storage, its HEAD and the checkpoints that are kept, newest first.
pub struct Stored {
    /// What was asked for, for messages.
    pub place: String,
    /// To read parts from.
    pub view: Box<dyn View>,
    /// The last commit; `None` when there is none, or when HEAD is damaged.
    pub head: Option<Head>,
    /// Why HEAD cannot be used.
    pub damaged_head: Option<store::Error>,
    /// The checkpoints.
    pub past: Vec<Past>,
}

impl Stored {
    /// Reads what is there.
    pub fn open(state: &State) -> Result<Self, Error> {
        let view = state.state.view()?;
        let place = state.state.to_string();
        let (head, damaged_head) = match view.head() {
            Ok(head) => (head, None),
            Err(error @ store::Error::Corrupt(_)) => (None, Some(error)),
            Err(error) => return Err(error.into()),
        };
        let past = history(view.as_ref(), head.as_ref())?;
        Ok(Self { place, view, head, damaged_head, past })
    }

    /// The checkpoint of `epoch`, or the last one.
    pub fn one(&mut self, epoch: Option<u64>) -> Result<Past, Error> {
        let place = || self.place.clone();
        let at = match epoch {
            None if self.past.is_empty() => return Err(Error::Empty(place())),
            None => 0,
            Some(epoch) => {
                let found = self.past.iter().position(|past| past.epoch == epoch);
                found.ok_or_else(|| Error::Epoch { epoch, place: place() })?
            }
        };
        Ok(self.past.remove(at))
    }

    /// Whether HEAD names this manifest.
    pub fn is_head(&self, manifest: &str) -> bool {
        self.head.as_ref().is_some_and(|head| head.manifest.as_deref() == Some(manifest))
    }
}
