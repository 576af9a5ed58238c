//! Times and numbers as people read them, the same in every table and line.

/// A time in the unit of which there are one to a thousand.
pub fn time(ns: f64) -> String {
    match ns.abs() {
        0.0..1e6 => format!("{:.1} us", ns / 1e3),
        1e6..1e9 => format!("{:.3} ms", ns / 1e6),
        _ => format!("{:.3} s", ns / 1e9),
    }
}

/// `1 guest`, `2 guests`.
pub fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{counted, time};

    #[test]
    fn one_of_something_is_not_many() {
        assert_eq!(
            [0, 1, 2].map(|it| counted(it, "VM")),
            ["0 VMs", "1 VM", "2 VMs"]
        );
    }

    #[test]
    fn a_time_is_told_in_the_unit_that_suits_it() {
        let told = [0.0, 999.0, 1e6, -2.5e6, 1e9].map(time);
        assert_eq!(
            told,
            ["0.0 us", "1.0 us", "1.000 ms", "-2.500 ms", "1.000 s"]
        );
    }
}
