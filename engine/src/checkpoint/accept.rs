//! Accept: whether an application may go on from a checkpoint.

use super::changes::{Change, ChangeKind, ProgramChanges};
use super::facts::{Identity, IdentityMismatch};
use super::manifest::Manifest;
use super::recover::{Accept, Error};

impl Accept for Identity {
    /// Without the operator's word nothing may be missing.
    fn accept(&self, name: &str, manifest: &Manifest) -> Result<(), Error> {
        let changes = ProgramChanges::between(manifest, self, &[]);
        self.check(name, changes.differences()).map_err(Error::from)
    }
}

impl Identity {
    /// Refuses the object `name` if there are `differences`.
    ///
    /// # Errors
    /// There are some.
    pub fn check(&self, name: &str, differences: Vec<String>) -> Result<(), IdentityMismatch> {
        if differences.is_empty() {
            return Ok(());
        }
        let (object, application) = (name.to_owned(), self.application.clone());
        Err(IdentityMismatch { object, application, differences })
    }

    /// Whether the table `table` of the checkpoint in `object` is that of this application. Returns
    /// its number in it.
    ///
    /// # Errors
    /// The table differs, was not there, or belongs to another application.
    pub fn accept_table(
        &self,
        object: &str,
        manifest: &Manifest,
        table: &str,
    ) -> Result<usize, IdentityMismatch> {
        let ProgramChanges { list, mut mistakes, .. } =
            ProgramChanges::between(manifest, self, &[]);
        let found = list.iter().find(|one| one.name == table);
        match found.map(|one| (one, &one.kind)) {
            Some((one, ChangeKind::Differs(text))) => mistakes.push(format!("{one}: {text}")),
            Some((one, ChangeKind::Added)) => mistakes.push(format!("{one} was not there")),
            _ => {}
        }
        self.check(object, mistakes)?;
        let at = manifest.facts.tables.iter().position(|was| was.name == table);
        Ok(at.expect("a table that was not there is refused"))
    }
}

impl ProgramChanges {
    /// Why the program cannot use the checkpoint, apart from frames under way.
    pub fn differences(&self) -> Vec<String> {
        let missing = |one: &Change| {
            let Change { name, lost, .. } = one;
            let lost = if lost.is_empty() { "what is stored for it" } else { lost };
            format!(
                "{one} is not in the program any more: put it back, or start with `--drop {name}` \
                 to lose {lost}"
            )
        };
        let of = |one: &Change| match &one.kind {
            ChangeKind::Differs(text) => Some(format!("{one}: {text}")),
            ChangeKind::Missing if one.can_be_dropped() => Some(missing(one)),
            _ => None,
        };
        self.mistakes.iter().cloned().chain(self.list.iter().filter_map(of)).collect()
    }
}
