//! That staff looked at what concerns the person, and what for (Art. 15 GDPR; CJEU C-579/21, R-33).

use super::Language;

/// A look of a member of staff at a request of the person. Who it was is nobody's business but the controller's: the person
/// learns when and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookUp {
    /// At the case of the request, masked or not.
    Case,
    /// At the package with the data.
    Package,
    /// At masked identifiers of the profiles among which one had to be chosen.
    Candidates,
    /// At the log of the request.
    Log,
    /// At evidence of the request, which names nobody.
    Evidence,
}

impl LookUp {
    /// Every look.
    pub const ALL: [Self; 5] = [Self::Case, Self::Package, Self::Candidates, Self::Log, Self::Evidence];

    /// The word in the records of the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Case => "case_read",
            Self::Package => "package_opened",
            Self::Candidates => "candidates_shown",
            Self::Log => "log_read",
            Self::Evidence => "evidence_taken",
        }
    }

    /// What it was for, in a sentence for the person.
    #[must_use]
    pub fn purpose(self, language: Language) -> &'static str {
        (language.texts().look_up)(self)
    }
}
