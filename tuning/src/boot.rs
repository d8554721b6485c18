//! The kernel's command line, as the kernel reads it.
//!
//! Owns its words, quotes and repetitions, and which CPUs a parameter names. Promises that a
//! parameter that is not understood is reported: it never counts as one that is not there.

use crate::cpus::Cpus;
use crate::root::{Root, Unread, UnreadReason};

/// The parameters in their order.
#[derive(Clone, Debug, Default)]
pub struct BootLine {
    parameters: Vec<(String, Option<String>)>,
    /// Why there are none.
    unread: Option<Unread>,
}

/// What `isolcpus` does, by its flags; `None` where no flag asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// CPUs outside the scheduler's balancing.
    pub domain: Option<Cpus>,
    /// CPUs that managed interrupts avoid.
    pub managed_irq: Option<Cpus>,
    /// CPUs whose tick stops.
    pub nohz: Option<Cpus>,
}

impl BootLine {
    /// Of the host below `root`.
    pub fn read(root: &Root) -> Self {
        match root.text(FILE) {
            Ok(line) => Self::parse(&line),
            Err(Unread { reason: UnreadReason::Empty, .. }) => Self::default(),
            Err(unread) => Self { unread: Some(unread), ..Self::default() },
        }
    }

    /// Cuts at spaces outside of quotes, up to `--`: what follows is for init. In names a dash is
    /// an underscore.
    fn parse(line: &str) -> Self {
        let mut quoted = false;
        let ends = |letter: char| {
            quoted ^= letter == '"';
            letter.is_whitespace() && !quoted
        };
        let words = line.split(ends).filter(|word| !word.is_empty());
        let cut = |word: &str| match unquoted(word).split_once('=') {
            Some((name, value)) => (name.replace('-', "_"), Some(unquoted(value).to_owned())),
            None => (unquoted(word).replace('-', "_"), None),
        };
        let parameters = words.take_while(|word| *word != "--").map(cut).collect();
        Self { parameters, unread: None }
    }

    /// Whether the parameter is there, with a value or without.
    pub fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(known, _)| known == name)
    }

    /// The value of a parameter; the last one counts.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next_back()
    }

    /// The CPUs that a parameter without flags names; of several such parameters the last one
    /// counts, except that `nohz_full` keeps the first.
    ///
    /// # Errors
    /// The command line cannot be read, or the parameter names no CPUs.
    pub fn cpus(&self, name: &str, possible: &Cpus) -> Result<Cpus, Unread> {
        self.unread.clone().map_or(Ok(()), Err)?;
        let lists = self.values(name).map(|value| list(name, value, value, possible));
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        let counts = if name == "nohz_full" { lists.first() } else { lists.last() };
        Ok(counts.cloned().unwrap_or_default())
    }

    /// What all `isolcpus` do together: as in the kernel one that names other CPUs for a flag than
    /// an earlier one does nothing.
    ///
    /// # Errors
    /// The command line cannot be read, or one of them names no CPUs.
    pub fn isolation(&self, possible: &Cpus) -> Result<Isolation, Unread> {
        self.unread.clone().map_or(Ok(()), Err)?;
        let mut all = Isolation::default();
        for value in self.values("isolcpus") {
            let one = isolation(value, possible)?;
            let agree = |before: &Option<Cpus>, now: &Option<Cpus>| {
                before.is_none() || now.is_none() || before == now
            };
            if agree(&all.domain, &one.domain)
                && agree(&all.managed_irq, &one.managed_irq)
                && agree(&all.nohz, &one.nohz)
            {
                all.domain = all.domain.or(one.domain);
                all.managed_irq = all.managed_irq.or(one.managed_irq);
                all.nohz = all.nohz.or(one.nohz);
            }
        }
        Ok(all)
    }

    fn values<'a>(&'a self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        let named = self.parameters.iter().filter(move |(known, _)| known == name);
        named.filter_map(|(_, value)| value.as_deref())
    }
}

/// One `isolcpus`: flags with a comma each, then the CPUs. Without a known flag it means `domain`;
/// words that are none are skipped by the kernel.
fn isolation(value: &str, possible: &Cpus) -> Result<Isolation, Unread> {
    let (mut domain, mut managed_irq, mut nohz) = (false, false, false);
    let mut rest = value;
    while rest.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        // Also `all` and `N`: behind flags the kernel takes them for one more of these.
        let (flag, after) = rest.split_once(',').ok_or_else(|| odd("isolcpus", value))?;
        match flag {
            "domain" => domain = true,
            "managed_irq" => managed_irq = true,
            "nohz" => nohz = true,
            _ if flag.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '_') => {}
            _ => return Err(odd("isolcpus", value)),
        }
        rest = after;
    }
    let cpus = list("isolcpus", value, rest, possible)?;
    domain |= !managed_irq && !nohz;
    let of = |flag: bool| flag.then(|| cpus.clone());
    Ok(Isolation { domain: of(domain), managed_irq: of(managed_irq), nohz: of(nohz) })
}

fn list(name: &str, value: &str, text: &str, possible: &Cpus) -> Result<Cpus, Unread> {
    Cpus::from_parameter(text, possible).map_err(|_| odd(name, value))
}

fn odd(name: &str, value: &str) -> Unread {
    Unread::odd(FILE, &format!("{name}={value}"))
}

/// Without the quotes around it; the kernel misses none at the end.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').map_or(text, |rest| rest.strip_suffix('"').unwrap_or(rest))
}

const FILE: &str = "/proc/cmdline";

#[cfg(test)]
mod tests {
    use super::*;

    fn possible() -> Cpus {
        (0..16).collect()
    }

    #[test]
    fn a_command_line_is_cut_as_the_kernel_cuts_it() {
        let line = r#"quiet dyndbg="file a.c +p" "mce=off 1" rcu-nocbs=2 a="b"c -- nohz"#;
        let boot = BootLine::parse(line);
        assert!(boot.has("quiet") && !boot.has("nohz") && boot.has("rcu_nocbs"));
        assert_eq!(boot.value("dyndbg"), Some("file a.c +p"));
        assert_eq!(boot.value("mce"), Some("off 1"));
    }

    #[track_caller]
    fn check(line: &str, name: &str, expected: Option<&str>) {
        let cpus = BootLine::parse(line).cpus(name, &possible());
        assert_eq!(cpus.ok().map(|cpus| cpus.to_string()).as_deref(), expected, "{line}");
    }

    #[test]
    fn lists_are_those_of_the_kernel() {
        for (list, expected) in [
            ("2-N", "2-15"),
            ("N", "15"),
            ("all", "0-15"),
            ("ALL", "0-15"),
            ("all:1/4", "0,4,8,12"),
            ("2-7:1/2", "2,4,6"),
            ("0-N:2/8,3", "0-1,3,8-9"),
            ("1,,2,", "1-2"),
            ("\"2 4\"", "2,4"),
            ("\"2-5\"", "2-5"),
            ("", ""),
        ] {
            check(&format!("nohz_full={list}"), "nohz_full", Some(expected));
            check(&format!("rcu-nocbs={list} --  rcu_nocbs=1"), "rcu_nocbs", Some(expected));
        }
        for odd in ["x", "5-2", "2-7:1/0", "2-7:3/2", "2:1/2", "2-99", "domain,2", "n", "2-7:"] {
            check(&format!("rcu_nocbs={odd}"), "rcu_nocbs", None);
        }
        check("quiet", "rcu_nocbs", Some(""));
        check("rcu_nocbs", "rcu_nocbs", Some(""));
        check("rcu_nocbs=1 rcu_nocbs=2-3", "rcu_nocbs", Some("2-3"));
        check("nohz-full=1 nohz_full=2-3", "nohz_full", Some("1"));
    }

    #[track_caller]
    fn check_isolation(line: &str, expected: [&str; 3]) {
        let isolation = BootLine::parse(line).isolation(&possible()).expect("it is understood");
        let Isolation { domain, managed_irq, nohz } = isolation;
        let text = |cpus: Option<Cpus>| cpus.map_or("-".to_owned(), |cpus| cpus.to_string());
        assert_eq!([text(domain), text(managed_irq), text(nohz)], expected, "{line}");
    }

    #[test]
    fn isolcpus_has_flags_in_front() {
        check_isolation("quiet", ["-", "-", "-"]);
        check_isolation("isolcpus=2-N", ["2-15", "-", "-"]);
        check_isolation("isolcpus=managed_irq,domain,2-5", ["2-5", "2-5", "-"]);
        check_isolation("isolcpus=managed_irq,2-7:1/2", ["-", "2,4,6", "-"]);
        check_isolation("isolcpus=nohz,domain,managed_irq,4", ["4", "4", "4"]);
        check_isolation("isolcpus=later,3", ["3", "-", "-"]);
        check_isolation("isolcpus=domain,3 isolcpus=managed_irq,3", ["3", "3", "-"]);
        check_isolation("isolcpus=1 isolcpus=managed_irq,domain,2-5", ["1", "-", "-"]);
        for odd in ["all", "N-15", "managed-irq,2", "domain", "domain,all", "2-99", "2..5"] {
            let line = format!("isolcpus={odd}");
            assert!(BootLine::parse(&line).isolation(&possible()).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_names_no_parameters_and_says_so() {
        let boot = BootLine::read(&Root::recorded("/no-such-folder"));
        assert!(boot.cpus("rcu_nocbs", &possible()).is_err());
        assert!(boot.isolation(&possible()).is_err());
    }
}
