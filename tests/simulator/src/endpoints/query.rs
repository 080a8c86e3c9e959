//! Query parameters.

use std::sync::Mutex;

use axum::extract::Query;
use axum::http::Uri;
use chrono::DateTime;

use crate::scroll::{Scroll, Scrolls};
use crate::server::lock;

/// The parameters of a call; the first of several with one name counts, unknown names are never looked at.
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
}

/// Why a parameter is refused.
pub(super) struct BadParameter(pub(super) String);

/// The scroll that a call goes on with.
pub(super) fn continued<S>(
    scrolls: &Mutex<Scrolls<S>>,
    id: &str,
    asked_size: Option<usize>,
) -> Result<Scroll<S>, BadParameter> {
    let unknown = || BadParameter("scroll id is unknown or expired".to_owned());
    let scroll = lock(scrolls).get(id).ok_or_else(unknown)?;
    if asked_size.is_some_and(|asked| asked != scroll.size) {
        return Err(BadParameter("size may not change during a scroll".to_owned()));
    }
    Ok(scroll)
}

impl Parameters {
    pub(super) fn of(uri: &Uri) -> Result<Self, BadParameter> {
        let Query(pairs) =
            Query::try_from_uri(uri).map_err(|_| BadParameter("query string is not readable".to_owned()))?;
        Ok(Self { pairs })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, BadParameter> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(BadParameter(format!("{name} is not true or false"))),
        }
    }

    /// An instant in milliseconds. ISO 8601 with seconds and zone.
    pub(super) fn instant(&self, name: &str) -> Result<Option<i64>, BadParameter> {
        self.text(name)
            .map(|text| {
                DateTime::parse_from_rfc3339(text)
                    .map(|at| at.timestamp_millis())
                    .map_err(|_| BadParameter(format!("{name} is not an ISO 8601 date")))
            })
            .transpose()
    }

    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        let split = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect();
        self.text(name).map(split)
    }

    pub(super) fn size(&self) -> Result<Option<usize>, BadParameter> {
        let allowed = 1..=crate::dialect::LARGEST_PAGE;
        self.text(crate::dialect::SIZE)
            .map(|text| {
                let size = text.parse().ok().filter(|size| allowed.contains(size));
                size.ok_or_else(|| BadParameter("size is not between 1 and 10000".to_owned()))
            })
            .transpose()
    }

    /// The parameters whose name begins so, as (rest of the name, value).
    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())))
    }
}
