//! Which file of a crate uses which: paths resolved to the file that defines the item.
//!
//! Importing through a re-export counts as using the file that defines the item, so a crate root
//! that only re-exports ties nothing together. Importing a module alone is no use; naming an item
//! in it is. Macros by their bare name, trait methods and inferred types leave no trace here.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;
use crate::syntax::{self, Import, Syntax};

/// The files of one crate and what they use.
pub struct Graph {
    /// Each use once, by file of the user and file of the used.
    pub uses: BTreeMap<(String, String), Use>,
}

/// Where one file uses another.
#[derive(Clone, Copy)]
pub struct Use {
    /// Line, counted from 1, of the first use.
    pub line: usize,
    /// Nothing but re-exports: the file passes names on and does not need them itself.
    pub only_exports: bool,
}

/// A module: a file, or a part of one.
struct Module {
    parent: Option<usize>,
    file: usize,
    scope: usize,
    children: BTreeMap<String, usize>,
}

/// What a path leads to.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    /// A module, by index.
    Module(usize),
    /// An item in the file of this index.
    Item(usize),
    /// What another crate defines.
    Outside,
}

/// One crate while it is resolved.
struct Crate<'a> {
    files: Vec<(&'a Source, Syntax)>,
    modules: Vec<Module>,
}

/// Files at which a crate of this workspace begins, tests and examples aside.
pub fn roots(sources: &[Source]) -> impl Iterator<Item = &Source> {
    let is_root = |path: &str| {
        ["src/lib.rs", "src/main.rs"].iter().any(|end| path.ends_with(end))
            || path.rsplit_once('/').is_some_and(|(folder, _)| folder.ends_with("src/bin"))
    };
    sources.iter().filter(move |source| is_root(&source.path) && !source.path.contains("/tests/"))
}

impl Graph {
    /// Resolves the crate that begins at `root`.
    pub fn new(root: &Source, sources: &[Source]) -> Self {
        let mut whole = Crate { files: vec![], modules: vec![] };
        whole.add_file(root, None, folder_of_root(&root.path), sources);
        let mut graph = Self { uses: BTreeMap::new() };
        for (file, (source, syntax)) in whole.files.iter().enumerate() {
            for (target, line, only_exports) in whole.uses_of(file, syntax) {
                let used = &whole.files[target].0.path;
                if target != file {
                    graph.add(&source.path, used, Use { line: line + 1, only_exports });
                }
            }
        }
        graph
    }

    fn add(&mut self, user: &str, used: &str, new: Use) {
        let known = self.uses.entry((user.to_owned(), used.to_owned())).or_insert(new);
        known.only_exports &= new.only_exports;
    }

    /// Groups of files that all use one another, directly or through others.
    pub fn cycles(&self) -> Vec<Vec<&str>> {
        let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for ((user, used), _) in self.uses.iter().filter(|(_, found)| !found.only_exports) {
            next.entry(user).or_default().push(used);
        }
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            next.keys().map(|file| (*file, reached(file, &next))).collect();
        let mut groups: Vec<Vec<&str>> = vec![];
        for (file, to) in reach.iter().filter(|(file, to)| to.contains(*file)) {
            let back = |other: &&&str| reach.get(**other).is_some_and(|to| to.contains(file));
            let group: Vec<&str> = to.iter().filter(back).copied().collect();
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

/// All files that `file` uses, directly or through others.
fn reached<'a>(file: &str, next: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = next.get(file).into_iter().flatten().copied().collect();
    while let Some(file) = open.pop() {
        if seen.insert(file) {
            open.extend(next.get(file).into_iter().flatten());
        }
    }
    seen
}

fn folder_of_root(path: &str) -> String {
    path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())
}

impl<'a> Crate<'a> {
    /// Adds the file and all below it; `folder` is where its modules lie.
    fn add_file(
        &mut self,
        source: &'a Source,
        parent: Option<usize>,
        folder: String,
        sources: &'a [Source],
    ) -> usize {
        let (file, first) = (self.files.len(), self.modules.len());
        let syntax = syntax::read(source);
        let declared = syntax.declared.clone();
        let mut folders = Vec::new();
        for (scope, of) in syntax.scopes.iter().enumerate() {
            let parent = if scope == 0 { parent } else { Some(first + of.parent) };
            self.modules.push(Module { parent, file, scope, children: BTreeMap::new() });
            let inside = format!("{}/{}", folders.get(of.parent).unwrap_or(&folder), of.name);
            folders.push(if scope == 0 { folder.clone() } else { inside });
            if scope > 0 {
                self.modules[first + of.parent].children.insert(of.name.clone(), first + scope);
            }
        }
        self.files.push((source, syntax));
        for (scope, name) in declared {
            let below = format!("{}/{name}", folders[scope]);
            let paths = [format!("{below}.rs"), format!("{below}/mod.rs")];
            if let Some(found) = sources.iter().find(|source| paths.contains(&source.path)) {
                let child = self.add_file(found, Some(first + scope), below, sources);
                self.modules[first + scope].children.insert(name, child);
            }
        }
        first
    }

    fn module(&self, file: usize, scope: usize) -> usize {
        let is_it = |module: &Module| module.file == file && module.scope == scope;
        self.modules.iter().position(is_it).expect("every scope is a module")
    }

    /// Files that `file` uses: index, line, and whether it only passes the name on.
    fn uses_of(&self, file: usize, syntax: &Syntax) -> Vec<(usize, usize, bool)> {
        let mut uses = Vec::new();
        let said = |name: &str| syntax.paths.iter().any(|mention| mention.path[0] == name);
        for import in syntax.imports.iter().filter(|import| import.name != "*") {
            let module = self.module(file, import.scope);
            if let Some(Target::Item(target)) = self.resolve(module, &import.path, 0) {
                uses.push((target, import.line, import.is_public && !said(&import.name)));
            }
        }
        for mention in &syntax.paths {
            let module = self.module(file, mention.scope);
            if let Some(Target::Item(target)) = self.resolve(module, &mention.path, 0) {
                uses.push((target, mention.line, false));
            }
        }
        uses
    }

    /// What `path` means in `module`; `None` when it leads out of the crate.
    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let parent = |module: usize| self.modules[module].parent.unwrap_or(module);
        let mut at = match path.first()?.as_str() {
            "crate" => 0,
            "self" => module,
            "super" => parent(module),
            name => match self.look_up(module, name, path.len() == 1, depth)? {
                Target::Module(found) => found,
                target => return Some(target),
            },
        };
        for (index, name) in path.iter().enumerate().skip(1) {
            if name == "super" {
                at = parent(at);
                continue;
            }
            let is_last = index + 1 == path.len();
            match self.look_up(at, name, is_last, depth) {
                Some(Target::Module(found)) => at = found,
                Some(target) => return Some(target),
                // What a macro defined: it is called in that file.
                None => return Some(Target::Item(self.modules[at].file)),
            }
        }
        Some(Target::Module(at))
    }

    /// What `name` means in `module`. The last name of a path is an item rather than a module.
    fn look_up(&self, module: usize, name: &str, is_last: bool, depth: usize) -> Option<Target> {
        const DEPTH_MAX: usize = 16;
        if depth > DEPTH_MAX {
            return None;
        }
        let at = &self.modules[module];
        let child = at.children.get(name).map(|child| Target::Module(*child));
        let item = || self.look_up_item(module, name, depth);
        if is_last { item().or(child) } else { child.or_else(item) }
    }

    fn look_up_item(&self, module: usize, name: &str, depth: usize) -> Option<Target> {
        let at = &self.modules[module];
        let syntax = &self.files[at.file].1;
        if syntax.defined.iter().any(|(scope, defined)| *scope == at.scope && defined == name) {
            return Some(Target::Item(at.file));
        }
        let imports = || syntax.imports.iter().filter(|import| import.scope == at.scope);
        // Not `use name;`, which would lead back here.
        let is_it = |import: &&Import| import.name == name && import.path != [name];
        let mut named = imports().filter(is_it).peekable();
        if named.peek().is_some() {
            let found = named.find_map(|import| self.resolve(module, &import.path, depth + 1));
            return Some(found.unwrap_or(Target::Outside));
        }
        let globs = imports().filter(|import| import.name == "*");
        globs.into_iter().find_map(|import| {
            match self.resolve(module, &import.path, depth + 1)? {
                Target::Module(found) if found != module => {
                    self.look_up(found, name, true, depth + 1)
                }
                _ => None,
            }
        })
    }
}
