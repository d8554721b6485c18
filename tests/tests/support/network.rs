//! Machines that can be cut off: network namespaces, each with a cable to a bridge of the host.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

/// Namespaces with a cable each. They go with the test.
pub struct Network {
    /// In front of all names, unlike that of another test.
    name: String,
    /// The third byte of all addresses.
    number: u8,
    nodes: usize,
}

impl Network {
    /// A network of some nodes; `None`, with the reason, where there can be none.
    pub fn start(nodes: usize) -> Option<Self> {
        // Tests run at once: the first number that is free.
        let network = (0..=255).find_map(|number| {
            let name = format!("pt{number}");
            let made = ip(&format!("link add {name} type bridge"));
            made.then(|| Self { name, number, nodes })
        });
        let Some(network) = network else {
            eprintln!("skipped: this process may make no network (root and iproute2)");
            return None;
        };
        let Self { name, .. } = &network;
        let address = network.host(0).ip();
        let mut all =
            vec![format!("addr add {address}/24 dev {name}"), format!("link set {name} up")];
        for node in 0..nodes {
            let (space, address) = (network.space(node), network.node(node, 0).ip());
            let cable = network.cable(node);
            all.extend([
                format!("netns add {space}"),
                format!("link add {cable} type veth peer name eth0 netns {space}"),
                format!("link set {cable} master {name} up"),
                format!("-n {space} addr add {address}/24 dev eth0"),
                format!("-n {space} link set eth0 up"),
                format!("-n {space} link set lo up"),
            ]);
        }
        if let Some(failed) = all.iter().find(|arguments| !ip(arguments)) {
            eprintln!("skipped: this process may make no network (`ip {failed}` failed)");
            return None;
        }
        Some(network)
    }

    /// An address of the host, which all nodes see.
    pub fn host(&self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(10, 213, self.number, 254), port))
    }

    /// An address of a node.
    pub fn node(&self, node: usize, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(10, 213, self.number, node as u8 + 1), port))
    }

    /// What stands in front of a command that runs on a node.
    pub fn within(&self, node: usize) -> [String; 4] {
        ["ip", "netns", "exec", &self.space(node)].map(str::to_owned)
    }

    fn space(&self, node: usize) -> String {
        format!("{}-{node}", self.name)
    }

    fn cable(&self, node: usize) -> String {
        format!("{}c{node}", self.name)
    }

    /// Pulls the cable of a node.
    pub fn cut(&self, node: usize) {
        assert!(ip(&format!("link set {} down", self.cable(node))));
    }

    /// Plugs it in again.
    pub fn mend(&self, node: usize) {
        assert!(ip(&format!("link set {} up", self.cable(node))));
    }

    /// Loses what a node sends to this address, and so also what it would answer.
    pub fn block(&self, node: usize, to: SocketAddr) {
        assert!(ip(&format!("-n {} route add blackhole {}/32", self.space(node), to.ip())));
    }

    /// Loses it no more.
    pub fn unblock(&self, node: usize, to: SocketAddr) {
        assert!(ip(&format!("-n {} route del blackhole {}/32", self.space(node), to.ip())));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for node in 0..self.nodes {
            ip(&format!("link del {}", self.cable(node)));
            ip(&format!("netns del {}", self.space(node)));
        }
        ip(&format!("link del {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}
