//! From a frame's columns to vectors.

use polars::prelude::{DataFrame, DataType, PolarsResult};

/// The values of a text column; an empty field is an empty text.
pub(super) fn texts(frame: &DataFrame, name: &str) -> PolarsResult<Vec<String>> {
    let column = frame.column(name)?.str()?;
    Ok(column
        .iter()
        .map(|value| value.unwrap_or_default().to_owned())
        .collect())
}

/// The values of a numeric column as they are, empty fields as `None`.
pub(super) fn numbers(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<f64>>> {
    let column = frame.column(name)?.cast(&DataType::Float64)?;
    Ok(column.f64()?.iter().collect())
}

/// The values of a numeric column; an empty field is NaN, which is printed as a dash.
pub(super) fn reals(frame: &DataFrame, name: &str) -> PolarsResult<Vec<f64>> {
    let values = numbers(frame, name)?;
    Ok(values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

/// The values of a column of small counts and indices, empty fields as `None`.
pub(super) fn counts(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<u64>>> {
    let column = frame.column(name)?.cast(&DataType::Int64)?;
    Ok(column
        .i64()?
        .iter()
        .map(|value| value.and_then(|v| u64::try_from(v).ok()))
        .collect())
}
