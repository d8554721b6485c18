//! A process acts only while its session stands for all others.

use super::super::turns::ProcessId;

/// A process acted when its session `is_over`, or not.
pub fn check(process: ProcessId, is_over: bool) -> Result<(), String> {
    match is_over {
        true => Err(format!("process {process} acts, and its session is over")),
        false => Ok(()),
    }
}
