//! The contents of a storage of checkpoints.

use std::time::Duration;

use super::answer::{Error, PlaceArgs};
use crate::checkpoint::store::{self, Head, StoreReader};
use crate::checkpoint::{Epoch, Past, history};

/// The storage, its HEAD and the checkpoints that are retained, newest first.
pub struct StoredCheckpoints {
    /// What was asked for, for messages.
    pub place: String,
    /// To read parts from.
    pub view: Box<dyn StoreReader>,
    /// The last commit; `None` when there is none, or when HEAD is damaged.
    pub head: Option<Head>,
    /// Why HEAD cannot be used.
    pub damaged_head: Option<store::Error>,
    /// The checkpoints.
    pub past: Vec<Past>,
}

/// Looks at a folder before what is missing in it counts as damage: an application that runs
/// deletes old checkpoints after each commit, while they are read.
const LOOKS_MAX: u32 = 20;

/// Between two of them: many times as long as a deletion takes.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

impl StoredCheckpoints {
    /// Reads what is there.
    pub fn open(state: &PlaceArgs) -> Result<Self, Error> {
        Self::look(state.state.view()?, state.state.to_string())
    }

    fn look(view: Box<dyn StoreReader>, place: String) -> Result<Self, Error> {
        let mut looks = 1;
        let (head, damaged_head, past) = loop {
            let (head, damaged_head) = match view.head() {
                Ok(head) => (head, None),
                Err(error @ store::Error::Corrupt(_)) => (None, Some(error)),
                Err(error) => return Err(error.into()),
            };
            let past = history(view.as_ref(), head.as_ref())?;
            let missing = |past: &Past| matches!(past.manifest, Err(store::Error::Missing { .. }));
            if looks == LOOKS_MAX || !past.iter().any(missing) {
                break (head, damaged_head, past);
            }
            looks += 1;
            std::thread::sleep(LOOK_PAUSE);
        };
        Ok(Self { place, view, head, damaged_head, past })
    }

    /// The checkpoint of `epoch`, or the last one.
    pub fn one(&mut self, epoch: Option<Epoch>) -> Result<Past, Error> {
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::checkpoint::store::{Memory, Store};
    use crate::checkpoint::{Identity, Manifest, propose};

    /// What a reader finds that is slower than a commit: HEAD was read before it.
    struct Slow {
        before: Head,
        is_read: AtomicBool,
        now: Memory,
    }

    impl StoreReader for Slow {
        fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, store::Error> {
            self.now.open(name)
        }

        fn list(&self) -> Result<Vec<(String, u64)>, store::Error> {
            self.now.list()
        }

        fn head(&self) -> Result<Option<Head>, store::Error> {
            match self.is_read.swap(true, Ordering::Relaxed) {
                false => Ok(Some(self.before.clone())),
                true => self.now.head(),
            }
        }
    }

    fn commit(store: &Memory, head: Option<&Head>, epoch: Epoch) -> Head {
        let first = Head { generation: 1, owner: 7, folder: 5, ..Head::default() };
        let old = head.cloned().unwrap_or(first);
        let application = "spread".to_owned();
        // Without partitions it needs no parts.
        let facts = Identity { application, fingerprint: 7, ..Identity::default() };
        let manifest = Manifest {
            facts,
            generation: 1,
            epoch,
            unix_seconds: 0,
            previous: old.manifest.clone(),
            sources: Vec::new(),
            parts: Vec::new(),
            transactions: Vec::new(),
            delivered: Vec::new(),
        };
        let new = propose(store, &old, &manifest, epoch.0.into()).expect("it is in memory");
        store.swap_head(head, &new).expect("the only writer");
        new
    }

    #[test]
    fn what_was_collected_while_it_was_read_is_not_missing() {
        let now = Memory::new();
        let before = commit(&now, None, Epoch(1));
        let after = commit(&now, Some(&before), Epoch(2));
        now.delete(before.manifest.as_ref().expect("it was stored")).expect("it is in memory");
        let view = Slow { before, is_read: AtomicBool::new(false), now: now.clone() };
        let stored =
            StoredCheckpoints::look(Box::new(view), "memory".to_owned()).expect("it can be read");
        assert_eq!((stored.past.len(), stored.past[0].epoch), (1, Epoch(2)));
        assert!(stored.past[0].manifest.is_ok() && stored.head == Some(after.clone()));
        now.delete(after.manifest.as_ref().expect("it was stored")).expect("it is in memory");
        let stored =
            StoredCheckpoints::look(Box::new(now), "memory".to_owned()).expect("it can be read");
        assert!(matches!(stored.past[0].manifest, Err(store::Error::Missing { .. })), "for good");
    }
}
