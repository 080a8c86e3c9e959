//! Who held a person's data.

use chrono::NaiveDate;

use super::settings::Recipient;
use crate::report::{Catalogue, Section};

/// The recipients that held data of these sections between two days. Without the first day it is not known since when the
/// data existed, and every recipient up to the last day counts: rather one too many is told than one forgotten.
pub fn held_by<'a>(
    register: &'a [Recipient],
    sections: &'a [Section],
    since: Option<NaiveDate>,
    until: NaiveDate,
) -> impl Iterator<Item = &'a Recipient> {
    register.iter().filter(move |recipient| {
        recipient.from <= until
            && since.is_none_or(|since| recipient.until.is_none_or(|last| last >= since))
            && recipient.categories.iter().any(|category| sections.contains(category))
    })
}

/// The catalogue of an access report with the recipients that held the person's data, by name, in each section.
#[must_use]
pub fn name_in(
    mut catalogue: Catalogue,
    register: &[Recipient],
    since: Option<NaiveDate>,
    until: NaiveDate,
) -> Catalogue {
    for (section, entry) in &mut catalogue.sections {
        let names: Vec<String> =
            held_by(register, std::slice::from_ref(section), since, until).map(named).collect();
        if !names.is_empty() {
            let own = entry.recipients.trim();
            let own = if own.is_empty() { String::new() } else { format!("{own} ") };
            entry.recipients = format!("{own}{}.", names.join("; "));
        }
    }
    catalogue
}

/// A recipient in a form that needs no translation: name, country with safeguard, days.
fn named(recipient: &Recipient) -> String {
    let safeguard = recipient.safeguard.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let until = recipient.until.map(|until| until.to_string()).unwrap_or_default();
    format!("{} ({}{safeguard}; {} – {until})", recipient.name, recipient.country, recipient.from)
        .replace("– )", "–)")
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::boring;
    use super::*;
    use crate::report::CatalogueEntry;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn r_28_a_recipient_is_named_to_those_whose_data_it_held_in_its_time() {
        let mut crm = boring();
        (crm.from, crm.until) = (day("2025-01-01"), Some(day("2025-06-30")));
        let register = [crm];
        let names = |created: Option<&str>, section: Section| {
            let sections = [section];
            let today = day("2026-11-23");
            held_by(&register, &sections, created.map(day), today)
                .map(|each| each.id.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Some("2025-03-01"), Section::Profile), ["crm"]);
        assert_eq!(names(Some("2025-06-30"), Section::Profile), ["crm"], "on its last day");
        assert!(names(Some("2025-09-01"), Section::Profile).is_empty(), "created after its time");
        assert!(names(Some("2025-03-01"), Section::Devices).is_empty(), "it never got devices");
        assert_eq!(names(None, Section::Events), ["crm"], "nobody knows since when the contact existed");
        assert_eq!(held_by(&register, &[Section::Profile], None, day("2024-12-31")).count(), 0, "not yet");
    }

    #[test]
    fn names_stand_beside_the_controllers_own_words() {
        let mut abroad = boring();
        abroad.country = "US".to_owned();
        abroad.safeguard = Some("standard contractual clauses".to_owned());
        let entry = |recipients: &str| CatalogueEntry {
            recipients: recipients.to_owned(),
            ..CatalogueEntry::default()
        };
        let catalogue = Catalogue {
            sections: [(Section::Profile, entry("Our staff.")), (Section::Devices, entry("Nobody."))].into(),
            ..Catalogue::default()
        };
        let named = name_in(catalogue, &[abroad], None, day("2026-11-23"));
        assert_eq!(
            named.sections[&Section::Profile].recipients,
            "Our staff. CRM Società (US: standard contractual clauses; 2025-01-01 –)."
        );
        assert_eq!(named.sections[&Section::Devices].recipients, "Nobody.");
    }
}
