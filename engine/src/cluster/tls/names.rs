//! Names of nodes in certificates.

use rustls::pki_types::ServerName;

/// The name of a node as a certificate has it: names of certificates are compared without regard
/// to case or a dot at the end, and names of nodes are not, so a name has one spelling.
///
/// # Errors
/// No certificate can have it, or it has another spelling.
pub(super) fn server_name(node: &str) -> Result<ServerName<'static>, String> {
    let name = ServerName::try_from(node.to_owned());
    let why = match name {
        Ok(ServerName::IpAddress(_)) => "is an IP address and no DNS name",
        Ok(_) if node.ends_with('.') => "ends with a dot",
        Ok(_) if node != node.to_ascii_lowercase() => "has upper-case letters",
        Ok(name) => return Ok(name),
        Err(_) => "is no DNS name",
    };
    Err(format!(
        "`{node}` {why}, so no certificate can be for it: name the node otherwise with --node, \
         such as `{}`",
        proper(node)
    ))
}

/// The same name, as a certificate may have it.
fn proper(node: &str) -> String {
    let lower = node.trim_matches('.').to_ascii_lowercase();
    let is_proper = |name: &str| matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_)));
    if is_proper(&lower) {
        return lower;
    }
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    format!("node-{}", lower.chars().map(plain).collect::<String>().trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        for name in ["a", "node-1", "a.orders.example", "app_0"] {
            server_name(name).expect("a certificate can be for it");
        }
        let wrong = [
            ("10.0.0.1", "IP address", "`node-10-0-0-1`"),
            ("1", "no DNS name", "`node-1`"),
            ("Host-7.Example", "upper-case", "`host-7.example`"),
            ("a.", "a dot", "`a`"),
            ("-", "no DNS name", "`node-`"),
        ];
        for (name, why, instead) in wrong {
            let refused = server_name(name).expect_err("it has another spelling");
            assert!(refused.contains(why) && refused.contains(instead), "{refused}");
        }
    }
}
