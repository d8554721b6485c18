//! A systemd service for an application: hardened, and on CPUs of its own.
//!
//! Owns the text of the unit. Promises that what the engine needs is let through (io_uring, its
//! sockets, locked memory, `/proc` of the host) and that everything else is shut; and that
//! `systemd-analyze verify` has nothing to say. Must never install it.

use std::fmt;

use crate::cpus::Cpus;
use crate::root::Root;

/// What the service is for.
#[derive(Clone, Debug)]
pub struct Unit {
    name: String,
    command: String,
    cpus: Option<Cpus>,
}

/// What cannot stand in a unit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name becomes that of a file, a user and a folder.
    #[error(
        "`{0}` is no name for a service: letters, digits, `-` and `_`, a letter first, 31 at \
             most"
    )]
    Name(String),
    /// systemd would start it as an account that is there, or mix it with a unit of its own.
    #[error(
        "`{0}` belongs to the system: the service would run as that account, or take over that \
             service, slice or folder of /var/lib; choose another name"
    )]
    Taken(String),
    /// systemd starts absolute paths only.
    #[error(
        "`{0}` is no absolute path of a program: give it from `/` on, such as \
             /usr/local/bin/APPLICATION"
    )]
    Program(String),
    /// A line of the unit ends there, or a terminal is steered.
    #[error("an argument has a control character in it: put it into the configuration file")]
    Argument,
}

impl Unit {
    /// A service `name` that starts `program` with `arguments`, and may use `cpus`: those of
    /// its cores, and others for its threads that open files and connections. Without others
    /// these would run on its cores.
    ///
    /// # Errors
    /// One of them cannot stand in a unit.
    pub fn new(
        name: &str,
        program: &str,
        arguments: &[String],
        cpus: Option<Cpus>,
    ) -> Result<Self, Error> {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let first = name.chars().next().is_some_and(|letter| letter.is_ascii_alphabetic());
        if !first || name.len() > NAME_BYTES_MAX || !name.chars().all(letters) {
            return Err(Error::Name(name.to_owned()));
        }
        if is_taken(name) {
            return Err(Error::Taken(name.to_owned()));
        }
        if !program.starts_with('/') || program.ends_with('/') {
            return Err(Error::Program(program.to_owned()));
        }
        let words = || std::iter::once(program).chain(arguments.iter().map(String::as_str));
        if words().any(|word| word.contains(char::is_control)) {
            return Err(Error::Argument);
        }
        // systemd replaces `%` in the path of the program, and no `$`.
        let program = quoted(&program.replace('%', "%%"));
        let arguments =
            arguments.iter().map(|word| quoted(&word.replace('%', "%%").replace('$', "$$")));
        let command = std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ");
        Ok(Self { name: name.to_owned(), command, cpus })
    }
}

/// Whether a name belongs to the system on the usual hosts. Upper case is no other name to people.
fn is_taken(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("systemd-") || TAKEN.split(' ').any(|taken| taken == name)
}

/// Whether this host has an account, a group or a service of its own that is called so.
pub fn is_taken_on(root: &Root, name: &str) -> bool {
    let listed = |path: &str| {
        let text = root.text(path).unwrap_or_default();
        text.lines().any(|line| line.split(':').next() == Some(name))
    };
    let folders = ["/usr/lib/systemd/system", "/lib/systemd/system"];
    let service = |folder: &&str| root.exists(&format!("{folder}/{name}.service"));
    listed("/etc/passwd") || listed("/etc/group") || folders.iter().any(service)
}

/// A word as systemd reads it back.
fn quoted(word: &str) -> String {
    let word = word.replace('\\', "\\\\").replace('"', "\\\"");
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/-_.,:=+@%$".contains(letter);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("\"{word}\"") }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, command, cpus } = self;
        writeln!(f, "# /etc/systemd/system/{name}.service")?;
        writeln!(f, "# systemctl daemon-reload && systemctl enable --now {name}")?;
        writeln!(f, "# undo: systemctl disable --now {name}, remove this file, daemon-reload")?;
        writeln!(f, "[Unit]\nDescription={name}, an application of Potoroo")?;
        writeln!(f, "After=network-online.target\nWants=network-online.target")?;
        writeln!(f, "# It is started again however often it ends.\nStartLimitIntervalSec=0\n")?;
        writeln!(f, "[Service]\nType=exec\nExecStart={command}")?;
        if let Some(cpus) = cpus {
            writeln!(
                f,
                "\n# Those of its cores, and others for what opens files and connections."
            )?;
            writeln!(f, "# The slice of its own keeps it out of limits on system.slice.")?;
            writeln!(f, "Slice={}.slice\nAllowedCPUs={cpus}\nCPUAffinity={cpus}", slice(name))?;
        }
        f.write_str(SERVICE)
    }
}

/// A dash in the name of a slice would make it a part of another one.
fn slice(name: &str) -> String {
    name.replace('-', "_")
}

/// What does not depend on the application.
const SERVICE: &str = "
# SIGTERM drains, within --drain-seconds (10 by default), before anything is killed.
KillSignal=SIGTERM
TimeoutStopSec=30
Restart=on-failure
RestartSec=1
# 1 and 2 are mistakes of configuration: starting again does not mend them. It does where a sink
# failed (3), a core stalled (70), or something panicked (71, or signal 6).
RestartPreventExitStatus=1 2

# Rings and queues to the kernel are locked; every connection is a descriptor.
LimitMEMLOCK=infinity
LimitNOFILE=1048576
OOMScoreAdjust=-500
# The timers of a core that parks fire on time.
TimerSlackNSec=1

# A user of its own, and /var/lib/NAME to write to; nothing else.
DynamicUser=yes
StateDirectory=%N
WorkingDirectory=%S/%N
UMask=0077
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
# io_uring is in @aio, locking in @memlock, pinning in @resources: all are in this set.
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
";

/// The longest name of a user.
const NAME_BYTES_MAX: usize = 31;

/// Accounts and groups that hosts come with, slices of systemd, and folders of /var/lib. With
/// `DynamicUser=` systemd runs a service as the account of its name where there is one.
const TAKEN: &str = "\
    root toor daemon bin sys sync shutdown halt operator adm admin wheel sudo staff users \
    nobody nogroup nfsnobody tty disk floppy cdrom tape audio video dialout plugdev input kvm \
    kmem mem render sgx shadow utmp lock src man lp lpadmin games mail news uucp proxy \
    www-data http backup list irc gnats ftp dbus messagebus polkitd sshd ssh cron crond crontab \
    ntp chrony chronyd postfix syslog rsyslog netdev apache nginx mysql postgres redis docker \
    containerd podman libvirt libvirtd qemu kubelet etcd tss tcpdump uuidd avahi rpc rpcuser \
    named bind irqbalance tuned \
    system user machine init session \
    apt dpkg rpm dnf pacman private systemd misc potoroo-tuning";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were() {
        assert_eq!(quoted("--cores"), "--cores");
        assert_eq!(quoted("a b"), "\"a b\"");
        let words = ["50%".to_owned(), "$HOME".to_owned()];
        let unit = Unit::new("risk", "/bin/a%n$b", &words, None).expect("it can stand there");
        assert_eq!(unit.command, "/bin/a%%n$b 50%% $$HOME");
        assert_eq!(quoted("say \"no\""), "\"say \\\"no\\\"\"");
        assert_eq!(quoted("tcp://h:1?a=b"), "\"tcp://h:1?a=b\"");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn what_cannot_stand_in_a_unit_is_refused() {
        let unit = |name: &str, program: &str, argument: &str| {
            Unit::new(name, program, &[argument.to_owned()], None).map(|_| ())
        };
        assert_eq!(unit("risk", "/bin/risk", "-v"), Ok(()));
        assert_eq!(unit("../etc", "/bin/risk", ""), Err(Error::Name("../etc".into())));
        assert_eq!(unit("1risk", "/bin/risk", ""), Err(Error::Name("1risk".into())));
        assert_eq!(unit("", "/bin/risk", ""), Err(Error::Name(String::new())));
        for name in ["a/b", "a.service", "risk\n", "%n", "a%i", "a@b", "a b", "risk\0", "r\u{e9}"] {
            assert_eq!(unit(name, "/bin/risk", ""), Err(Error::Name(name.into())));
        }
        for name in ["root", "Root", "nobody", "www-data", "systemd-network", "system", "dpkg"] {
            assert_eq!(unit(name, "/bin/risk", ""), Err(Error::Taken(name.into())));
        }
        assert_eq!(unit("risk", "risk", ""), Err(Error::Program("risk".into())));
        for odd in ["a\nUser=root", "a\rUser=root", "\0", "\u{1b}[2J", "\u{85}"] {
            assert_eq!(unit("risk", "/bin/risk", odd), Err(Error::Argument));
            assert_eq!(unit("risk", &format!("/bin/{odd}"), ""), Err(Error::Argument));
        }
    }
}
