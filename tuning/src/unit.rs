//! A systemd service for an application: hardened, and on CPUs of its own.
//!
//! Owns the text of the unit. Promises that what the engine needs is let through (io_uring, its
//! sockets, locked memory, `/proc` of the host) and that everything else is shut; and that
//! `systemd-analyze verify` has nothing to say. Must never install it.

use std::fmt;

use crate::cpus::Cpus;

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
    /// systemd starts absolute paths only.
    #[error(
        "`{0}` is no absolute path of a program: give it from `/` on, such as \
             /usr/local/bin/APPLICATION"
    )]
    Program(String),
    /// A line of the unit ends there.
    #[error("an argument has a line feed or a zero byte in it: put it into the configuration file")]
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
        if !program.starts_with('/') || program.ends_with('/') {
            return Err(Error::Program(program.to_owned()));
        }
        let words = || std::iter::once(program).chain(arguments.iter().map(String::as_str));
        if words().any(|word| word.contains(['\n', '\r', '\0'])) {
            return Err(Error::Argument);
        }
        let command = words().map(quoted).collect::<Vec<_>>().join(" ");
        Ok(Self { name: name.to_owned(), command, cpus })
    }
}

/// A word as systemd reads it back: `%` and `$` begin its own replacements.
fn quoted(word: &str) -> String {
    let word = word.replace('\\', "\\\\").replace('"', "\\\"");
    let word = word.replace('%', "%%").replace('$', "$$");
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
        writeln!(f, "After=network-online.target\nWants=network-online.target\n")?;
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
# SIGTERM drains, within --drain-seconds (10 unless told otherwise), before anything is killed.
KillSignal=SIGTERM
TimeoutStopSec=30
Restart=on-failure
RestartSec=1
# 1 and 2 are mistakes of configuration: starting again does not mend them.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were() {
        assert_eq!(quoted("--cores"), "--cores");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("50%"), "50%%");
        assert_eq!(quoted("$HOME"), "$$HOME");
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
        assert_eq!(unit("risk", "risk", ""), Err(Error::Program("risk".into())));
        assert_eq!(unit("risk", "/bin/risk", "a\nUser=root"), Err(Error::Argument));
    }
}
