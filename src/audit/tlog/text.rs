//! Spellings that several formats share: decimal numbers with one spelling each.

/// The largest number that any of the formats may carry here: PostgreSQL stores them as `bigint`.
const LARGEST: u64 = i64::MAX as u64;

/// Text that is not a number in its only spelling.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum NumberError {
    /// Empty, not only digits 0 to 9, or with leading zeroes.
    #[error("a number is not spelled in plain decimal digits without leading zeroes")]
    Spelling,
    /// 2^63 or more.
    #[error("a number is not below 2^63")]
    TooLarge,
}

/// Reads a decimal number below 2^63 without sign and leading zeroes.
pub(super) fn number(text: &str) -> Result<u64, NumberError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(NumberError::Spelling);
    }
    let value: u64 = text.parse().map_err(|_| NumberError::TooLarge)?;
    within_range(value)
}

/// The number itself if it is below 2^63.
pub(super) fn within_range(value: u64) -> Result<u64, NumberError> {
    if value > LARGEST { Err(NumberError::TooLarge) } else { Ok(value) }
}
