//! What the experiments claim besides shares.

use super::marked;
use crate::markdown::Table;
use apportion_recording::ClaimRow;

/// A row per claim; none where nothing is claimed.
pub(super) fn render(claims: &[ClaimRow]) -> Option<String> {
    let mut table = Table::new().words("claim").words("verdict");
    for claim in claims {
        table.row([claim.to_string(), marked(&claim.verdict.to_string())]);
    }
    let text = "## Claims\n\nMedians over repetitions; a factor is that of the runs that went together.\n\n";
    (!claims.is_empty()).then(|| format!("{text}{}", table.render()))
}
