//! Changes, described: what to write where, and what puts it back.
//!
//! Owns the way from a change to the commands that a person types. Promises that each change has
//! its undo. Must never carry one out: that is for `apply` alone.

use std::collections::BTreeMap;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A file of the kernel: takes effect at once and is forgotten at the next start.
    Write {
        /// The file.
        path: String,
        /// What is chosen in it now.
        before: String,
        /// What to write.
        value: String,
    },
    /// A parameter of the kernel's command line: takes effect at the next start.
    Boot(String),
    /// A service of systemd that has to stand still.
    Stop(String),
    /// What people have to decide or do: (change, undo).
    Hand(String, String),
}

impl Remedy {
    /// A change of the file `path` from `before` to `value`.
    pub fn write(path: &str, before: &str, value: &str) -> Self {
        Self::Write { path: path.into(), before: before.into(), value: value.into() }
    }

    /// As [`Remedy::Hand`].
    pub fn hand(change: impl Into<String>, undo: impl Into<String>) -> Self {
        Self::Hand(change.into(), undo.into())
    }
}

/// The command lines and steps that make the changes: services first, because one that moves
/// interrupts has to stand still before they are moved.
pub fn changes(remedies: &[Remedy]) -> Vec<String> {
    let mut steps = stops(remedies, "disable");
    steps.extend(writes(remedies, |_, value| value));
    steps.extend(remedies.iter().filter_map(|remedy| match remedy {
        Remedy::Boot(parameter) => {
            Some(format!("add `{parameter}` to the kernel's command line and start again"))
        }
        Remedy::Hand(change, _) => Some(change.clone()),
        Remedy::Write { .. } | Remedy::Stop(_) => None,
    }));
    steps
}

/// The command lines and steps that undo the changes.
pub fn undos(remedies: &[Remedy]) -> Vec<String> {
    let mut steps = writes(remedies, |before, _| before);
    steps.extend(remedies.iter().filter_map(|remedy| match remedy {
        Remedy::Boot(parameter) => {
            let name = parameter.split('=').next().unwrap_or(parameter);
            Some(format!("take `{name}` off the kernel's command line and start again"))
        }
        Remedy::Hand(_, undo) => Some(undo.clone()),
        Remedy::Write { .. } | Remedy::Stop(_) => None,
    }));
    steps.extend(stops(remedies, "enable"));
    steps
}

fn stops(remedies: &[Remedy], verb: &str) -> Vec<String> {
    let stop = |remedy: &Remedy| match remedy {
        Remedy::Stop(service) => Some(format!("systemctl {verb} --now {service}")),
        _ => None,
    };
    remedies.iter().filter_map(stop).collect()
}

/// Writes to many CPUs or interrupts of the same value are one line.
fn writes<'a>(remedies: &'a [Remedy], side: fn(&'a str, &'a str) -> &'a str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut alike: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for remedy in remedies {
        let Remedy::Write { path, before, value } = remedy else { continue };
        let text = side(before, value);
        if let Some(name) = path.strip_prefix("/proc/sys/") {
            lines.push(format!("sysctl -w {}={}", name.replace('/', "."), quoted(text)));
        } else {
            let (form, number) = numbered(path);
            alike.entry((form, text)).or_default().push(number);
        }
    }
    lines.extend(alike.into_iter().map(|((form, text), numbers)| match numbers[..] {
        [number] => format!("echo {} > {}", quoted(text), word(&form.replace(PLACE, number))),
        _ => {
            let paths = form.replace(PLACE, &braces(&numbers));
            format!("echo {} | tee {paths} >/dev/null", quoted(text))
        }
    }));
    lines
}

/// A word as the shell reads it, in quotes only where it needs them.
pub(crate) fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/-_.,:=+@%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// The same, always in quotes: what a file of the host holds is one word, whatever it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The numbers as the shell expands them: `{2..5}`, or `{2,3,7}`.
fn braces(numbers: &[&str]) -> String {
    let values: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let row = values.len() > 2 && values.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    match (row, values.first(), values.last()) {
        (true, Some(first), Some(last)) => format!("{{{first}..{last}}}"),
        _ => format!("{{{}}}", numbers.join(",")),
    }
}

/// The path with its number of a CPU or interrupt taken out, and the number.
fn numbered(path: &str) -> (String, &str) {
    for prefix in ["/sys/devices/system/cpu/cpu", "/proc/irq/"] {
        let Some(rest) = path.strip_prefix(prefix) else { continue };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, end) = rest.split_at(digits);
        return (format!("{prefix}{PLACE}{end}"), number);
    }
    (path.to_owned(), "")
}

/// Stands for the number; no path has it.
const PLACE: &str = "\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writes_of_a_value_are_one_line() {
        let file = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        let governor = |cpu| Remedy::write(&file(cpu), "powersave", "performance");
        let both = [governor(2), governor(3)];
        let folder = "/sys/devices/system/cpu";
        assert_eq!(
            changes(&both),
            [format!(
                "echo 'performance' | tee {folder}/cpu{{2,3}}/cpufreq/scaling_governor >/dev/null"
            )]
        );
        assert_eq!(braces(&["2", "3", "4"]), "{2..4}");
        assert_eq!(
            undos(&both[..1]),
            [format!("echo 'powersave' > {folder}/cpu2/cpufreq/scaling_governor")]
        );
    }

    #[test]
    fn every_change_has_its_undo() {
        let all = [
            Remedy::write("/proc/sys/kernel/numa_balancing", "1", "0"),
            Remedy::Boot("nohz_full=2-3".into()),
            Remedy::Stop("irqbalance".into()),
            Remedy::hand("do", "undo"),
        ];
        assert_eq!(changes(&all).len(), undos(&all).len());
        assert_eq!(changes(&all)[0], "systemctl disable --now irqbalance");
        assert_eq!(changes(&all)[1], "sysctl -w kernel.numa_balancing='0'");
        assert_eq!(
            undos(&all)[1],
            "take `nohz_full` off the kernel's command line and start again"
        );
    }
}
