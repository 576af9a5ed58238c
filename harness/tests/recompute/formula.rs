//! The formula by walking along its corners: no bisection, and no code that the tool uses.

/// One claim: weight, reserve, upper bound.
pub(super) type Claim = (f64, f64, f64);

/// The parts of an LP that claims receive on `lps` LPs.
///
/// Each part rises with the level λ along straight lines: additive from r to
/// u with slope w, floor from r (as soon as λ·w passes it) to u. So the sum
/// rises along straight lines between the corners of all of them.
pub(super) fn parts(lps: f64, claims: &[Claim], additive: bool) -> Vec<f64> {
    let claims: Vec<Claim> = claims.iter().map(|&(w, r, u)| (w, r.min(u), u)).collect();
    let reserved: f64 = claims.iter().map(|claim| claim.1).sum();
    if reserved > lps {
        return claims
            .iter()
            .map(|claim| claim.1 * lps / reserved)
            .collect();
    }
    let (begins, ends): (Vec<f64>, Vec<f64>) = claims
        .iter()
        .map(|&(w, r, u)| {
            if additive {
                (0.0, (u - r) / w)
            } else {
                (r / w, u / w)
            }
        })
        .unzip();
    let at = |level: f64| -> Vec<f64> {
        let each = claims.iter().zip(begins.iter().zip(&ends));
        each.map(|(&(w, r, _), (&begin, &end))| r + w * (level.clamp(begin, end) - begin))
            .collect()
    };
    let mut corners: Vec<f64> = begins.iter().chain(&ends).copied().collect();
    corners.sort_by(f64::total_cmp);
    let (mut level, mut sum) = (0.0, reserved);
    for corner in corners {
        let next: f64 = at(corner).iter().sum();
        if next >= lps {
            let slope = (next - sum) / (corner - level);
            return at(if slope > 0.0 {
                level + (lps - sum) / slope
            } else {
                level
            });
        }
        (level, sum) = (corner, next);
    }
    at(level)
}

#[test]
fn known_answers() {
    let close = |a: Vec<f64>, b: &[f64]| {
        assert!(
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12),
            "{a:?} {b:?}"
        );
    };
    close(
        parts(
            2.0,
            &[(10.0, 0.0, 1.0), (1.0, 0.0, 1.0), (1.0, 0.0, 1.0)],
            true,
        ),
        &[1.0, 0.5, 0.5],
    );
    let reserve = [
        (1.0, 0.5, 1.0),
        (1.0, 0.0, 1.0),
        (1.0, 0.0, 1.0),
        (1.0, 0.0, 1.0),
    ];
    close(parts(1.0, &reserve, true), &[0.625, 0.125, 0.125, 0.125]);
    close(
        parts(1.0, &reserve, false),
        &[0.5, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0],
    );
    close(
        parts(
            1.0,
            &[(1000.0, 0.0, 0.25), (1.0, 0.0, 1.0), (1.0, 0.0, 1.0)],
            true,
        ),
        &[0.25, 0.375, 0.375],
    );
    close(
        parts(1.0, &[(1.0, 0.8, 1.0), (1.0, 0.8, 1.0)], true),
        &[0.5, 0.5],
    );
}
