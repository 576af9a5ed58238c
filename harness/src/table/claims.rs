//! What experiments claim besides shares, a line each.

use super::mark;
use apportion_recording::ClaimRow;

/// One line per claim; `None` where nothing is claimed.
pub(crate) fn claims(rows: &[ClaimRow]) -> Option<String> {
    let line = |row: &ClaimRow| format!("\n{} {row}", mark(row.verdict));
    let lines: String = rows.iter().map(line).collect();
    (!rows.is_empty()).then(|| format!("\nclaims:{lines}"))
}
