//! The opened store of an application, and what others see of its checkpoints. It belongs to the
//! process: its lock is held over all generations.

use std::sync::Arc;

use super::checkpoints::CheckpointProgress;
use super::error::Error;
use crate::checkpoint::store::{Location, Store, draw};
use crate::connect::mail::PresentStorage;
use crate::turn::StorageShared;

/// The opened store of an application. A clone is the same one.
#[derive(Clone)]
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) place: Location,
    /// The number of this process as a coordinator: a HEAD that has it is the own one.
    pub(super) owner: u64,
    /// By core.
    pub(super) shared: Vec<Arc<StorageShared>>,
    pub(super) progress: Arc<CheckpointProgress>,
    /// The storage thread of the present generation, for operators.
    pub(super) present: PresentStorage,
}

impl OpenStore {
    /// Opens `place` for an application of `cores` cores; together with its other nodes, if it is
    /// `shared`.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn open(place: &Location, cores: usize, shared: bool) -> Result<Self, Error> {
        let refused = |reason: String| Error::State { place: place.clone(), reason };
        let opened = if shared { place.open_shared() } else { place.open() };
        let store = opened.map_err(|error| refused(error.to_string()))?;
        Ok(Self::of(store, place.clone(), cores))
    }

    /// What was opened as `store`.
    pub(super) fn of(store: Arc<dyn Store>, place: Location, cores: usize) -> Self {
        Self {
            store,
            place,
            owner: draw(),
            shared: (0..cores).map(|_| Arc::default()).collect(),
            progress: Arc::default(),
            present: PresentStorage::default(),
        }
    }
}
