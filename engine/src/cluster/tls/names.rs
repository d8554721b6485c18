//! Names of nodes in certificates.

use rustls::pki_types::ServerName;

/// The name of a node as a certificate has it.
///
/// # Errors
/// No certificate can have it.
pub(super) fn server_name(node: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(node.to_owned()).map_err(|_| {
        format!(
            "`{node}` is no DNS name, so no certificate can be for it: name the node otherwise \
             with --node, such as `node-{node}`"
        )
    })
}
