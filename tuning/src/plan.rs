//! The plan: everything that the findings ask for, sorted by where it has to be done.
//!
//! Owns the texts that an operator puts into the files of the host. Promises that what `apply`
//! does is the first part of it, and nothing else. Must never carry anything out.

use std::fmt::{self, Write};

use crate::cpus::Cpus;
use crate::finding::Finding;
use crate::host::CheckedHost;
use crate::remedy::{Remedy, changes, undos};

/// What is to be done, each once.
#[derive(Clone, Debug)]
pub struct TuningPlan {
    cores: Cpus,
    others: Cpus,
    /// What takes effect at once; `apply` does exactly this, in this order.
    pub(crate) now: Vec<Remedy>,
    /// Parameters of the kernel's command line that are missing.
    boot: Vec<String>,
    /// Those of them that are there with another value.
    replaced: Vec<String>,
    /// What is left to people.
    hand: Vec<Remedy>,
}

impl TuningPlan {
    /// Collects the remedies of all findings.
    pub fn new(host: &CheckedHost, findings: &[Finding]) -> Self {
        let mut plan = Self {
            cores: host.cores.clone(),
            others: host.others(),
            now: Vec::new(),
            boot: Vec::new(),
            replaced: Vec::new(),
            hand: Vec::new(),
        };
        for remedy in findings.iter().flat_map(|finding| &finding.remedies) {
            match remedy {
                Remedy::Boot(parameter) => push_new(&mut plan.boot, parameter.clone()),
                Remedy::Hand(..) => push_new(&mut plan.hand, remedy.clone()),
                Remedy::Write { .. } | Remedy::Stop(_) => push_new(&mut plan.now, remedy.clone()),
            }
        }
        let names = plan.boot.iter().filter_map(|text| text.split('=').next());
        plan.replaced = names.filter(|name| host.boot.has(name)).map(str::to_owned).collect();
        // Daemons that move interrupts are stopped before the interrupts are moved.
        plan.now.sort_by_key(|remedy| !matches!(remedy, Remedy::Stop(_)));
        plan
    }

    /// Lines of `/etc/sysctl.d`.
    fn sysctl(&self) -> Vec<String> {
        let line = |remedy: &Remedy| match remedy {
            Remedy::Write { path, value, .. } => {
                let name = path.strip_prefix("/proc/sys/")?.replace('/', ".");
                Some(format!("{name} = {value}"))
            }
            _ => None,
        };
        self.now.iter().filter_map(line).collect()
    }

    fn write_boot(&self, text: &mut String) -> fmt::Result {
        heading(text, "2. Kernel command line, from the next start on")?;
        if self.boot.is_empty() {
            return writeln!(text, "nothing to add");
        }
        let parameters = self.boot.join(" ");
        let names: Vec<_> = self.boot.iter().filter_map(|text| text.split('=').next()).collect();
        writeln!(text, "{parameters}\n")?;
        if !self.replaced.is_empty() {
            let replaced = self.replaced.join(", ");
            writeln!(text, "Take the present {replaced} off the line first: of two parameters of")?;
            writeln!(text, "one name the kernel may keep the first.\n")?;
        }
        writeln!(
            text,
            "Debian, Ubuntu: put this line into /etc/default/grub.d/potoroo.cfg and run"
        )?;
        writeln!(text, "update-grub; to undo, remove the file and run update-grub:\n")?;
        writeln!(text, "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {parameters}\"\n")?;
        writeln!(text, "Fedora, RHEL and kin, and its undo:\n")?;
        writeln!(text, "grubby --update-kernel=ALL --args=\"{parameters}\"")?;
        writeln!(text, "grubby --update-kernel=ALL --remove-args=\"{}\"", names.join(" "))
    }

    fn write_systemd(&self, text: &mut String) -> fmt::Result {
        let others = &self.others;
        heading(text, "4. systemd")?;
        writeln!(text, "/etc/systemd/system/APPLICATION.service.d/potoroo.conf")?;
        writeln!(
            text,
            "(for a whole service: `potoroo-tuning unit`); its cores, and the others for"
        )?;
        writeln!(text, "its threads that open files and connections\n")?;
        let cpus = self.cores.or(others);
        writeln!(text, "[Service]\nAllowedCPUs={cpus}\nCPUAffinity={cpus}")?;
        writeln!(text, "LimitMEMLOCK=infinity\nLimitNOFILE=1048576")?;
        if !others.is_empty() {
            writeln!(text, "\n/etc/systemd/system/system.slice.d/potoroo.conf, and the same in")?;
            writeln!(
                text,
                "user.slice.d, machine.slice.d and init.scope.d; the service above then"
            )?;
            writeln!(text, "needs a slice of its own (`Slice=potoroo.slice`)\n")?;
            writeln!(text, "[Slice]\nAllowedCPUs={others}\n")?;
            writeln!(text, "(in init.scope.d the section is [Scope])")?;
        }
        writeln!(text, "\nundo: remove the files; then, as after writing them:\n")?;
        writeln!(text, "systemctl daemon-reload")
    }

    fn write_tuned(&self, text: &mut String) -> fmt::Result {
        let (cores, others) = (&self.cores, &self.others);
        heading(text, "5. Profile of tuned, in place of sections 1 to 3")?;
        writeln!(text, "/etc/tuned/potoroo/tuned.conf\n")?;
        writeln!(text, "[main]\nsummary=CPUs {cores} for Potoroo\ninclude=network-latency\n")?;
        writeln!(text, "[cpu]\ngovernor=performance\nforce_latency=2\n")?;
        writeln!(text, "[vm]\ntransparent_hugepages=madvise\n")?;
        let sysctl = self.sysctl();
        if !sysctl.is_empty() {
            writeln!(text, "[sysctl]\n{}\n", sysctl.join("\n").replace(" = ", "="))?;
        }
        if !others.is_empty() {
            writeln!(text, "[irqbalance]\nbanned_cpus={cores}\n")?;
            writeln!(
                text,
                "[scheduler]\nisolated_cores={cores}\ndefault_irq_smp_affinity={others}\n"
            )?;
        }
        if !self.boot.is_empty() {
            writeln!(text, "[bootloader]\ncmdline_potoroo=+{}\n", self.boot.join(" "))?;
        }
        writeln!(text, "tuned-adm active            # note it down")?;
        writeln!(text, "tuned-adm profile potoroo   # undo: tuned-adm profile THE-FORMER-ONE")
    }

    fn write_all(&self, text: &mut String) -> fmt::Result {
        writeln!(
            text,
            "Plan for an application on CPUs {}; for the rest: {}",
            self.cores,
            rest(self)
        )?;
        writeln!(text, "Nothing of it is done yet. `apply` does section 1; `revert` undoes that.")?;
        heading(text, "1. At once, until the next start")?;
        commands(text, &self.now)?;
        self.write_boot(text)?;
        heading(text, "3. /etc/sysctl.d/90-potoroo.conf, to keep a part of section 1")?;
        writeln!(text, "{}", or_nothing(self.sysctl().join("\n")))?;
        self.write_systemd(text)?;
        self.write_tuned(text)?;
        heading(text, "6. By hand, where you decide so")?;
        for remedy in &self.hand {
            let one = std::slice::from_ref(remedy);
            writeln!(text, "{}", changes(one).join("\n"))?;
            writeln!(text, "    undo: {}", undos(one).join("\n"))?;
        }
        Ok(())
    }
}

impl fmt::Display for TuningPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_all(&mut text)?;
        f.write_str(text.trim_end())
    }
}

fn heading(text: &mut String, name: &str) -> fmt::Result {
    writeln!(text, "\n== {name}\n")
}

fn commands(text: &mut String, remedies: &[Remedy]) -> fmt::Result {
    if remedies.is_empty() {
        return writeln!(text, "nothing to change");
    }
    writeln!(text, "{}", changes(remedies).join("\n"))?;
    writeln!(text, "\nundo:\n\n{}", undos(remedies).join("\n"))
}

fn rest(plan: &TuningPlan) -> String {
    match plan.others.is_empty() {
        true => "no CPU: choose fewer `--cores`, much of the plan needs one".to_owned(),
        false => format!("CPUs {}", plan.others),
    }
}

fn or_nothing(text: String) -> String {
    if text.is_empty() { "nothing to keep".to_owned() } else { text }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
