//! What every check needs to know of a host, read once.
//!
//! Owns the sets of CPUs and the kernel's command line. Promises that a host which tells nothing
//! still has an answer: sets that cannot be read are empty, except that somebody runs this on at
//! least one CPU. Must never judge.

use crate::cpus::Cpus;
use crate::root::Root;

/// A host and the CPUs that an application is to have.
#[derive(Clone, Debug)]
pub struct Host<'a> {
    /// Its files.
    pub root: &'a Root,
    /// The CPUs to judge.
    pub cores: Cpus,
    /// CPUs that there are, plugged in or not.
    pub present: Cpus,
    /// CPUs that run.
    pub online: Cpus,
    /// CPUs that this process may use.
    pub allowed: Cpus,
    /// CPUs outside the scheduler's balancing, by `isolcpus` or an isolated cpuset partition.
    pub isolated: Cpus,
    /// CPUs whose tick stops while one task runs.
    pub nohz_full: Cpus,
    /// The kernel's command line.
    pub boot: BootLine,
}

impl<'a> Host<'a> {
    /// Reads the host; `cores` of `None` are those that an application uses when nobody chooses.
    pub fn read(root: &'a Root, cores: Option<&Cpus>) -> Self {
        let set = |path| root.cpus(path).unwrap_or_default();
        let online = some(set("/sys/devices/system/cpu/online"));
        let allowed = allowed(root).map_or(online.clone(), |allowed| allowed.and(&online));
        let isolated = set("/sys/devices/system/cpu/isolated");
        let partitions = set("/sys/fs/cgroup/cpuset.cpus.isolated");
        Self {
            root,
            cores: cores.cloned().unwrap_or_else(|| some(allowed.clone())),
            present: set("/sys/devices/system/cpu/present").or(&online),
            isolated: isolated.or(&partitions),
            nohz_full: set("/sys/devices/system/cpu/nohz_full"),
            boot: BootLine::read(root),
            online,
            allowed,
        }
    }

    /// The CPUs left for everybody else.
    pub fn others(&self) -> Cpus {
        self.online.without(&self.cores)
    }

    /// Other threads of the physical core of `cpu`, as far as they are online.
    pub fn siblings(&self, cpu: usize) -> Cpus {
        let topology = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
        let named = |name: &str| self.root.cpus(&format!("{topology}/{name}"));
        let all = named("core_cpus_list").or_else(|_| named("thread_siblings_list"));
        let this = Cpus::from_iter([cpu]);
        all.unwrap_or_default().and(&self.online).without(&this)
    }

    /// NUMA nodes with their CPUs; none where the kernel tells none.
    pub fn nodes(&self) -> Vec<(usize, Cpus)> {
        let folder = "/sys/devices/system/node";
        let cpus = |node| self.root.cpus(&format!("{folder}/node{node}/cpulist"));
        let nodes = self.root.numbers(folder, "node").into_iter();
        nodes.map(|node| (node, cpus(node).unwrap_or_default())).collect()
    }

    /// The path of a file of one CPU.
    pub(crate) fn cpu_file(cpu: usize, name: &str) -> String {
        format!("/sys/devices/system/cpu/cpu{cpu}/{name}")
    }
}

/// Mount points of the cgroups of this process, its own first, up to the root of the hierarchy.
pub(crate) fn cgroups(root: &Root) -> Vec<String> {
    let Ok(text) = root.text("/proc/self/cgroup") else { return Vec::new() };
    let Some(own) = text.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    let mut paths = vec!["/sys/fs/cgroup".to_owned()];
    for part in own.split('/').filter(|part| !part.is_empty()) {
        paths.push(format!("{}/{part}", paths[paths.len() - 1]));
    }
    paths.reverse();
    paths
}

/// A field of a file of `name: value` lines.
pub(crate) fn field(text: &str, name: &str) -> Option<String> {
    let value =
        |line: &str| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().into());
    text.lines().find_map(value)
}

fn allowed(root: &Root) -> Option<Cpus> {
    field(&root.text("/proc/self/status").ok()?, "Cpus_allowed_list")?.parse().ok()
}

fn some(cpus: Cpus) -> Cpus {
    if cpus.is_empty() { Cpus::from_iter([0]) } else { cpus }
}

/// The kernel's command line, cut into its parameters.
#[derive(Clone, Debug, Default)]
pub struct BootLine(Vec<(String, Option<String>)>);

impl BootLine {
    fn read(root: &Root) -> Self {
        Self::parse(&root.text("/proc/cmdline").unwrap_or_default())
    }

    /// Cuts at spaces outside of quotes, up to `--`: what follows is for init.
    fn parse(line: &str) -> Self {
        let mut quoted = false;
        let ends = |letter: char| {
            quoted ^= letter == '"';
            letter.is_whitespace() && !quoted
        };
        let words = line.split(ends).filter(|word| !word.is_empty());
        let cut = |word: &str| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.trim_matches('"').to_owned())),
            None => (word.to_owned(), None),
        };
        Self(words.take_while(|word| *word != "--").map(cut).collect())
    }

    /// Whether the parameter is there, with a value or without.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The value of a parameter; the last one counts.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// The CPUs that a parameter names behind its flags: `isolcpus=managed_irq,domain,2-5`.
    pub fn cpus(&self, name: &str, present: &Cpus) -> Cpus {
        let value = self.value(name).unwrap_or_default();
        if value == "all" {
            return present.clone();
        }
        let is_flag = |part: &&str| part.starts_with(char::is_alphabetic);
        let parts: Vec<_> = value.split(',').skip_while(is_flag).collect();
        parts.join(",").parse().unwrap_or_default()
    }

    /// The flags in front of the CPUs of a parameter.
    pub fn flags(&self, name: &str) -> Vec<&str> {
        let value = self.value(name).unwrap_or_default();
        value.split(',').take_while(|part| part.starts_with(char::is_alphabetic)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_cut_as_the_kernel_cuts_it() {
        let line =
            r#"quiet dyndbg="file a.c +p" isolcpus=1 isolcpus=managed_irq,domain,2-5 -- nohz"#;
        let boot = BootLine::parse(line);
        assert!(boot.has("quiet") && !boot.has("nohz"));
        assert_eq!(boot.value("dyndbg"), Some("file a.c +p"));
        assert_eq!(boot.flags("isolcpus"), ["managed_irq", "domain"]);
        assert_eq!(boot.cpus("isolcpus", &Cpus::default()).to_string(), "2-5");
        assert!(boot.cpus("rcu_nocbs", &Cpus::default()).is_empty());
    }

    #[test]
    fn a_host_that_tells_nothing_has_one_cpu() {
        let root = Root::recorded("/no-such-folder");
        let host = Host::read(&root, None);
        assert_eq!(host.cores.to_string(), "0");
        assert!(host.others().is_empty() && host.nodes().is_empty());
    }
}
