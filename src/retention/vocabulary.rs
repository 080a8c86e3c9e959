//! States and reasons of a sweep: stored, shown and audited words.

use std::fmt;

use crate::platform::PlatformError;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as stored, shown and audited. Never renamed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Where a sweep stands.
    SweepState {
        /// Contacts are being listed.
        Listing = "listing",
        /// For a period from the last activity: the records of those created long enough ago are read.
        Reading = "reading",
        /// Stopped at a safeguard; nothing was submitted, or nothing more.
        Stopped = "stopped",
        /// Erasures are being submitted.
        Submitting = "submitting",
        /// Every candidate has its erasure request.
        Finished = "finished",
        /// Ended by a failure while listing; nothing was submitted.
        Failed = "failed",
    }
}

words! {
    /// Why a sweep stopped or failed.
    StopReason {
        /// More candidates than `most_contacts`.
        OverMostContacts = "over_most_contacts",
        /// A greater share of all contacts than `most_percent`.
        OverMostPercent = "over_most_percent",
        /// The platform ignores the filter by creation date.
        FilterNotHonoured = "filter_not_honoured",
        /// Our clock and the platform's differ by more than five minutes.
        ClockDiffers = "clock_differs",
        /// The rule was switched off or made milder, counts from another event, or a cap was lowered, after the sweep had frozen
        /// its candidates.
        RuleChanged = "rule_changed",
        /// A person confirmed another number of contacts than the sweep found.
        NotConfirmed = "not_confirmed",
        /// The daemon ended while the sweep was listing.
        Interrupted = "interrupted",
        /// The platform could not be reached or asked to wait.
        PlatformUnavailable = "platform_unavailable",
        /// The platform refuses the key, or the call.
        PlatformRefused = "platform_refused",
        /// The platform's answer cannot be read or is too large.
        PlatformUnreadable = "platform_unreadable",
    }
}

impl StopReason {
    /// The reason that follows from a failed call while listing.
    #[must_use]
    pub const fn from_platform(error: &PlatformError) -> Self {
        match error {
            PlatformError::Throttled { .. }
            | PlatformError::Unavailable { .. }
            | PlatformError::AnswerLost { .. } => Self::PlatformUnavailable,
            PlatformError::Rejected { .. }
            | PlatformError::BadCredentials { .. }
            | PlatformError::Forbidden { .. }
            | PlatformError::Withheld { .. }
            | PlatformError::ReadOnly { .. } => Self::PlatformRefused,
            PlatformError::Unreadable { .. } | PlatformError::TooLarge { .. } => Self::PlatformUnreadable,
        }
    }

    /// What an operator can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::OverMostContacts | Self::OverMostPercent => {
                "look at `dsrd retention preview`; when the number is right, raise the cap for this run"
            }
            Self::FilterNotHonoured => {
                "ask the platform's support; sweeps go on once the probe is honoured again"
            }
            Self::ClockDiffers => "set the clock of this host by NTP",
            Self::RuleChanged => {
                "nothing to do: the next sweep lists anew by the present rule, where one is switched on"
            }
            Self::NotConfirmed => {
                "the number of contacts has changed since the preview: look at `dsrd retention preview` again"
            }
            Self::Interrupted => "nothing to do: the sweep is run anew",
            Self::PlatformUnavailable => "nothing to do: the sweep is tried again after an hour",
            Self::PlatformRefused => "check the platform key's role and scopes with `dsrd check`",
            Self::PlatformUnreadable => {
                "see the log for what could not be read; limits are in the platform settings"
            }
        }
    }
}

words! {
    /// Why a sweep leaves a candidate to a later one.
    SkipReason {
        /// A hold stands against its deletion.
        Hold = "hold",
        /// The person has it restricted (Art. 18 GDPR).
        Restriction = "restriction",
        /// A request for a copy of its data is open, to look at or to take along: the answer is about the data as it was when
        /// they asked.
        OpenAccessRequest = "open_access_request",
        /// Its last activity cannot be known: a person has to look.
        UnclearActivity = "unclear_activity",
    }
}

words! {
    /// Who began a sweep.
    BegunBy {
        /// The schedule, also where a sweep of its was interrupted or went by a clock that was ahead.
        Schedule = "schedule",
        /// A person (`dsrd retention run`).
        Person = "person",
    }
}
