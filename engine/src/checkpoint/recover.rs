//! Recover: the way back from a store into a running application.
//!
//! ```text
//!   peek ─► HEAD swapped to the next generation ─► its manifest ─► parts, chunk by chunk
//! ```
//!
//! Promises: HEAD is swapped before anything that counts is read, so a predecessor that was only
//! paused can commit nothing any more; what is damaged or of another application is refused, and
//! before HEAD is changed if it can be known; an older checkpoint is used on the operator's word
//! only. Must never do: delete.

use std::io::Read;

use super::epoch::Epoch;
use super::facts::{Identity, IdentityMismatch};
use super::history::{Past, history, manifests};
use super::output::{Marks, check_output};
use super::repeat::{Repeat, repeats};
use super::store::{self, Head, Store, StoreReader};
use super::{Chunk, CorruptObject, Damage, Manifest, PartEntry, PartReader, SourcePosition};

/// Where an application begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The present HEAD, of this coordinator.
    pub head: Head,
    /// The checkpoint to go on from; `None` to begin from nothing.
    pub manifest: Option<Manifest>,
    /// From where sources are read again: as the manifest says, and where streams begin of which
    /// only newer checkpoints know, since an older one was asked for.
    pub sources: Vec<SourcePosition>,
    /// Who wrote the newest checkpoint, if an older one was gone back to.
    pub newest: Option<Identity>,
    /// What sinks will write a second time, since an older checkpoint was asked for.
    pub repeats: Vec<Repeat>,
    /// The checkpoint that was asked for was gone back to at an earlier start: this goes on from
    /// what came since.
    pub restored_before: bool,
}

/// Why an application cannot go on from what is stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage cannot be used, or what is in it is damaged.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// It belongs to another application, or to an older state of this one.
    #[error(transparent)]
    Refused(#[from] IdentityMismatch),
    /// There are checkpoints, and nothing says which of them counts.
    #[error(
        "HEAD is missing though there are checkpoints of {}: put HEAD back from a copy of the \
         state folder, or choose one of them with --restore EPOCH", epochs(.kept)
    )]
    NoHead {
        /// Their epochs.
        kept: Vec<Epoch>,
    },
    /// The checkpoint that was asked for is not there.
    #[error("there is no checkpoint of epoch {epoch}: retained are those of {}", epochs(.kept))]
    NoEpoch {
        /// What was asked for.
        epoch: Epoch,
        /// Epochs of those that are there.
        kept: Vec<Epoch>,
    },
    /// No generation is left, by the number that an object has.
    #[error(
        "{object} is of generation {last}, after which there is none: remove it if HEAD does not \
         name it, or give another --state", last = Head::GENERATION_MAX
    )]
    NoGeneration {
        /// The object.
        object: String,
    },
    /// A source or sink cannot go on from it, or HEAD must not be swapped now.
    #[error("{0}")]
    Edge(Box<dyn std::error::Error + Send + Sync>),
    /// A stop is requested.
    #[error("the application is about to end: start it again with --restore {epoch}")]
    Ending {
        /// To which it was to go back.
        epoch: Epoch,
    },
}

/// Decides whether a checkpoint may be used. It is called before HEAD changes, and once more for
/// what a predecessor has committed just before that.
pub trait Accept {
    /// Whether `manifest`, the object `name`, may be used.
    ///
    /// # Errors
    /// It may not: cause and remedy.
    fn accept(&self, name: &str, manifest: &Manifest) -> Result<(), Error>;

    /// HEAD is about to go back from `newest` to an older checkpoint, which can be used: the last
    /// chance to do something with what only `newest` names.
    ///
    /// # Errors
    /// It must not go back now: cause and remedy.
    fn leave(&self, _newest: &Manifest) -> Result<(), Error> {
        Ok(())
    }

    /// The generation after that of `old`, the present HEAD, is about to be taken. HEAD is swapped
    /// from `old` or from a later commit of its generation, and from no other: so what this finds
    /// out after `old` was read still holds when HEAD is swapped.
    ///
    /// # Errors
    /// It must not be taken now: cause and remedy.
    fn take_over(&self, _old: Option<&Head>) -> Result<(), Error> {
        Ok(())
    }
}

/// Takes over `store` as the coordinator `owner` (a random number) of the application that accepts
/// checkpoints by `facts`, and finds the checkpoint to go on from: the last one, or that of the
/// epoch `restore`, unless that was applied before: a process that is started again has the same
/// arguments.
///
/// # Errors
/// The checkpoint is missing, damaged, or of another application; the store cannot be used; or
/// another coordinator takes over at the same time.
pub fn recover(
    store: &dyn Store,
    facts: &impl Accept,
    owner: u64,
    restore: Option<Epoch>,
) -> Result<Recovered, Error> {
    let peeked = peek(store, facts, restore)?;
    let goes_back = restore.is_some() && !peeked.chosen.done;
    let wish = Wish { owner, goes_back, restored: restore.unwrap_or_default() };
    begin(store, facts, peeked, wish)
}

/// As [`recover`], for the next generation of a running application, whose HEAD is `own`. It goes
/// back to the checkpoint of `epoch`, whatever was applied at its start, after every byte of that
/// was read, while `go_on` says so.
///
/// # Errors
/// As of [`recover`]; HEAD is not `own` any more; or the application is to end. HEAD is as it was
/// then, unless the error is that this is unclear.
pub fn roll_back(
    store: &dyn Store,
    facts: &impl Accept,
    owner: u64,
    (own, epoch): (&Head, Epoch),
    go_on: &dyn Fn() -> bool,
) -> Result<Recovered, Error> {
    let old = store.head()?;
    if old.as_ref() != Some(own) {
        // Another coordinator has committed since: that is not to be thrown away unseen.
        let (expected, found) = (Some(Box::new(own.clone())), old.map(Box::new));
        return Err(store::Error::Overtaken { expected, found }.into());
    }
    let chosen = older(store, old.as_ref(), epoch)?;
    let manifest = load(store, facts, chosen.manifest.as_deref())?;
    read_whole(store, &manifest, || if go_on() { Ok(()) } else { Err(Error::Ending { epoch }) })?;
    // The flag of the start is still applied: it is not to be applied once more at the next.
    let wish = Wish { owner, goes_back: true, restored: own.restored };
    begin(store, facts, Peeked { old, chosen, manifest }, wish)
}

/// What a generation is to begin with.
struct Wish {
    owner: u64,
    /// To a checkpoint that need not be the last one.
    goes_back: bool,
    /// What was last applied by flag.
    restored: Epoch,
}

fn begin(
    store: &dyn Store,
    facts: &impl Accept,
    peeked: Peeked,
    Wish { owner, goes_back, restored }: Wish,
) -> Result<Recovered, Error> {
    let Peeked { old, chosen, manifest: peeked } = peeked;
    let Chosen { manifest, repeats, left, done } = chosen;
    left.map_or(Ok(()), |newest| facts.leave(&newest))?;
    facts.take_over(old.as_ref())?;
    let epoch = peeked.as_ref().map_or(Epoch::NONE, |manifest| manifest.epoch);
    let generation = next_generation(store, old.as_ref())?;
    // Without HEAD, it is in what clients have: a new number could be less than theirs.
    let of_clients = || peeked.as_ref().map_or(0, Manifest::folder);
    let folder = old.as_ref().map_or_else(of_clients, |head| head.folder);
    // The first coordinator's number is as good as any.
    let folder = if folder == 0 { owner } else { folder };
    let gone_back_to = match &old {
        _ if goes_back => epoch,
        None => Epoch::NONE,
        // An earlier version wrote the one number only.
        Some(head) if head.gone_back_to.is_none() => head.restored,
        Some(head) => head.gone_back_to,
    };
    let rewound = match &old {
        None if !goes_back => 0,
        Some(Head { rewound: Some(before), .. }) if !goes_back => *before,
        _ => generation,
    };
    let rewound = Some(rewound);
    let newest = match &peeked {
        Some(manifest) if gone_back_to == manifest.epoch => newest(store)?,
        _ => None,
    };
    let name = manifest.clone();
    let head = Head { generation, owner, folder, epoch, manifest, restored, gone_back_to, rewound };
    let head = take_over(store, old, head, goes_back)?;
    // What was not looked at yet is of a predecessor, which has committed it since.
    let (manifest, newest) = match head.manifest == name {
        true => (peeked, newest),
        false => (load(store, facts, head.manifest.as_deref())?, None),
    };
    let positions = |manifest: &Manifest| match &newest {
        Some(newest) => with_newer(manifest, newest),
        None => manifest.sources.clone(),
    };
    let sources = manifest.as_ref().map(positions).unwrap_or_default();
    let newest = newest.map(|newest| newest.facts);
    Ok(Recovered { head, manifest, sources, newest, repeats, restored_before: done })
}

/// What is known before HEAD changes.
struct Peeked {
    /// HEAD.
    old: Option<Head>,
    chosen: Chosen,
    /// What was chosen.
    manifest: Option<Manifest>,
}

/// Looks at what is stored first: a mistake in the command line must not end a coordinator that
/// runs. If one does, and commits, it collects what is looked at: then the new HEAD counts.
fn peek(
    store: &dyn StoreReader,
    facts: &impl Accept,
    restore: Option<Epoch>,
) -> Result<Peeked, Error> {
    let look = |old: Option<Head>| {
        let chosen = choose(store, old.as_ref(), restore)?;
        let manifest = load(store, facts, chosen.manifest.as_deref())?;
        if restore.is_some() && !chosen.done {
            // Once HEAD names it, those after it cannot be chosen any more.
            read_whole(store, &manifest, || Ok(()))?;
        }
        Ok(Peeked { old, chosen, manifest })
    };
    for _ in 1..PEEKS_MAX {
        let old = store.head()?;
        match look(old.clone()) {
            Err(_) if store.head()? != old => {}
            peeked => return peeked,
        }
    }
    look(store.head()?)
}

/// How often it is looked again. Something is missing after that only if each look was slower than
/// a checkpoint.
const PEEKS_MAX: usize = 20;

/// The checkpoint from which [`recover`] would go on, and its name. Changes nothing.
///
/// # Errors
/// As of [`recover`], but that whether the application may use it is not looked at.
pub fn preview(
    view: &dyn StoreReader,
    restore: Option<Epoch>,
) -> Result<Option<(String, Manifest)>, Error> {
    let Some(name) = choose(view, view.head()?.as_ref(), restore)?.manifest else {
        return Ok(None);
    };
    let manifest = Manifest::load(view, &name)?;
    Ok(Some((name, manifest)))
}

/// Reads every byte of the parts of a checkpoint, and of its output that may not be visible; calls
/// `each` for each chunk.
fn read_whole(
    view: &dyn StoreReader,
    manifest: &Option<Manifest>,
    each: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(manifest) = manifest else { return Ok(()) };
    let read = |part| each_chunk_of(view, manifest, part, |_| each());
    manifest.parts.iter().try_for_each(read)?;
    let marks = Marks::read(view)?;
    for one in manifest.transactions.iter().filter(|one| one.name().is_some() && !marks.has(one)) {
        each()?;
        check_output(&one.object, view.open(&one.object)?, one, |_| ())?;
    }
    Ok(())
}

/// Swaps HEAD from `old` to `new`. A predecessor that still runs may commit until then, and what it
/// committed last counts, unless this `goes_back`: then the operator has to see what repeats.
fn take_over(
    store: &dyn Store,
    mut old: Option<Head>,
    mut new: Head,
    goes_back: bool,
) -> Result<Head, Error> {
    let mut unclear = 0;
    for _ in 0..TAKEOVERS_MAX {
        match store.swap_head(old.as_ref(), &new) {
            // Asked again, the store says what became of it.
            Err(store::Error::Unclear { .. }) if unclear < UNCLEAR_MAX => unclear += 1,
            Err(store::Error::Overtaken { found: Some(found), .. })
                if !goes_back && found.generation < new.generation =>
            {
                let folder = if found.folder == 0 { new.folder } else { found.folder };
                let (epoch, manifest) = (found.epoch, found.manifest.clone());
                let rewound = found.rewound.or(Some(new.generation));
                new = Head { folder, epoch, manifest, rewound, ..new };
                old = Some(*found);
            }
            swapped => return swapped.map(|()| new).map_err(Error::from),
        }
    }
    let (expected, found) = (Some(Box::new(new)), old.map(Box::new));
    Err(store::Error::Overtaken { expected, found }.into())
}

/// How often a swap is repeated of which it is unclear whether it was done.
const UNCLEAR_MAX: usize = 3;

/// How often a predecessor may commit just before it is overtaken: each time takes it a checkpoint,
/// and us a request or two.
const TAKEOVERS_MAX: usize = 100;

/// Shows `visit` all chunks of a part in their order. It may take the bytes of one; the buffer that
/// it leaves is used for the next. Nothing may be made of them before this returned without an
/// error: only then it is known that nothing is missing. Frames in a part of an earlier epoch are
/// passed over: they were processed since.
///
/// # Errors
/// The part is missing, damaged or not the one that the manifest names; or what `visit` returned.
pub fn each_chunk_of<E: From<store::Error>>(
    view: &dyn StoreReader,
    manifest: &Manifest,
    part: &PartEntry,
    visit: impl FnMut(&mut Chunk) -> Result<(), E>,
) -> Result<(), E> {
    each_chunk_in(view.open(&part.name)?, manifest, part, visit)
}

/// As [`each_chunk_of`], of a part that was opened before.
pub(super) fn each_chunk_in<E: From<store::Error>>(
    from: impl Read,
    manifest: &Manifest,
    part: &PartEntry,
    mut visit: impl FnMut(&mut Chunk) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = PartReader::open(&part.name, from).map_err(stored)?;
    check_header(manifest, part, &reader).map_err(stored)?;
    while let Some(chunk) = reader.next() {
        let mut chunk = chunk.map_err(stored)?;
        if !chunk.has_frames() || part.epoch == manifest.epoch {
            visit(&mut chunk)?;
        }
        reader.recycle(chunk.bytes);
    }
    let other = "its length, number of chunks or digest differs";
    let fits = reader.seal() == Some(part.seal());
    if fits { Ok(()) } else { Err(stored(other_part(part, other.to_owned())).into()) }
}

fn check_header<R: Read>(
    manifest: &Manifest,
    part: &PartEntry,
    reader: &PartReader<R>,
) -> Result<(), CorruptObject> {
    let header = reader.header();
    let said = (header.core, header.epoch, header.since);
    let (core, epoch, since) = said;
    if said != (part.core, part.epoch, part.since) {
        let text = format!("it is of core {core}, epoch {epoch} since {since}");
        return Err(other_part(part, text));
    }
    if header.facts != manifest.facts {
        return Err(other_part(part, "another application, or state of it, wrote it".to_owned()));
    }
    Ok(())
}

fn other_part(part: &PartEntry, text: String) -> CorruptObject {
    CorruptObject { object: part.name.clone(), offset: 0, damage: Damage::Other(text) }
}

fn stored(corrupt: CorruptObject) -> store::Error {
    corrupt.into()
}

/// The manifest `name`, if there is one, when it fits the application.
fn load(
    view: &dyn StoreReader,
    facts: &impl Accept,
    name: Option<&str>,
) -> Result<Option<Manifest>, Error> {
    let Some(name) = name else { return Ok(None) };
    let manifest = Manifest::load(view, name)?;
    facts.accept(name, &manifest)?;
    Ok(Some(manifest))
}

/// The checkpoint to go on from.
struct Chosen {
    manifest: Option<String>,
    repeats: Vec<Repeat>,
    /// The last one that can be read of those under HEAD that are gone back from.
    left: Option<Manifest>,
    /// An older one was requested, and gone back to before.
    done: bool,
}

/// The last one under the HEAD `old`, or that of the epoch `restore`.
fn choose(
    view: &dyn StoreReader,
    old: Option<&Head>,
    restore: Option<Epoch>,
) -> Result<Chosen, Error> {
    let is_done = |epoch: &Epoch| old.is_some_and(|head| head.restored == *epoch);
    let done = restore.filter(is_done).is_some();
    if let Some(epoch) = restore.filter(|_| !done) {
        return older(view, old, epoch);
    }
    let past = history(view, old)?;
    if old.is_none() && !past.is_empty() {
        return Err(Error::NoHead { kept: epochs_of(&past) });
    }
    let manifest = old.and_then(|head| head.manifest.clone());
    Ok(Chosen { manifest, repeats: Vec::new(), left: None, done })
}

/// The checkpoint of `epoch` under the HEAD `old`.
fn older(view: &dyn StoreReader, old: Option<&Head>, epoch: Epoch) -> Result<Chosen, Error> {
    let past = history(view, old)?;
    let place = past.iter().position(|past| past.epoch == epoch);
    let place = place.ok_or_else(|| Error::NoEpoch { epoch, kept: epochs_of(&past) })?;
    let (manifest, repeats) = (Some(past[place].name.clone()), repeats(&past[..place]));
    // Without HEAD it is unknown which of them was committed.
    let mut newer = past.into_iter().take(if old.is_some() { place } else { 0 });
    let left = newer.find_map(|past| past.manifest.ok());
    Ok(Chosen { manifest, repeats, left, done: false })
}

fn epochs_of(past: &[Past]) -> Vec<Epoch> {
    past.iter().map(|past| past.epoch).collect()
}

/// The newest manifest that there is. One that is damaged says nothing.
fn newest(view: &dyn StoreReader) -> Result<Option<Manifest>, Error> {
    let newest = manifests(view)?.last().map(|name| Manifest::load(view, &name.to_string()));
    Ok(newest.and_then(Result::ok))
}

/// The positions of `manifest`, which was gone back to; and of streams that began after it, where
/// they began: a client that forgot what was acknowledged since cannot go on, and has to learn it.
fn with_newer(manifest: &Manifest, newest: &Manifest) -> Vec<SourcePosition> {
    let mut sources = manifest.sources.clone();
    let begun = newest.sources.iter().filter_map(|at| at.clone().begun());
    for begun in begun {
        match sources.iter().position(|at| at.is_of(&begun)) {
            Some(at) if sources[at].position == 0 => sources[at] = begun,
            Some(_) => {}
            None => sources.push(begun),
        }
    }
    sources
}

/// The generation after all that there were.
fn next_generation(view: &dyn StoreReader, head: Option<&Head>) -> Result<u64, Error> {
    let names = manifests(view)?.into_iter().map(|name| (name.generation, name.to_string()));
    let head = head.map(|head| (head.generation, "HEAD".to_owned()));
    match names.chain(head).max() {
        None => Ok(1),
        Some((last, _)) if last < Head::GENERATION_MAX => Ok(last + 1),
        Some((_, object)) => Err(Error::NoGeneration { object }),
    }
}

fn epochs(epochs: &[Epoch]) -> String {
    let numbers: Vec<String> = epochs.iter().map(Epoch::to_string).collect();
    if numbers.is_empty() { "none".to_owned() } else { format!("epoch {}", numbers.join(", ")) }
}
