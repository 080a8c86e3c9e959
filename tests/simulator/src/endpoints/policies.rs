//! Updating policies: the three body shapes.

use serde_json::Value;

use crate::faults::Fault;
use crate::journal::Effect;
use crate::server::{Call, Outcome};

/// Reads `{"policyKey", "accepted"}`, `{"policies": [{"policyKey", "accepted"}]}` or `{"policies": {key: bool}}`.
fn read(body: &[u8]) -> Option<Vec<(String, bool)>> {
    let single = |value: &Value| {
        Some((value.get("policyKey")?.as_str()?.to_owned(), value.get("accepted")?.as_bool()?))
    };
    let body: Value = serde_json::from_slice(body).ok()?;
    let updates = match body.get("policies") {
        None => vec![single(&body)?],
        Some(Value::Array(list)) => list.iter().map(single).collect::<Option<_>>()?,
        Some(Value::Object(map)) => {
            map.iter().map(|(key, value)| Some((key.clone(), value.as_bool()?))).collect::<Option<_>>()?
        }
        Some(_) => return None,
    };
    (!updates.is_empty()).then_some(updates)
}

/// Sets policies: all that the call names, or none.
pub(super) fn update(call: &Call<'_>) -> Outcome {
    let Some(slot) = super::readable_contact(call) else {
        return call.refuse(404, "no such contact");
    };
    let Some(updates) = read(call.body) else {
        return call.refuse(409, "policyKey and accepted are needed");
    };
    let directory = &call.organisation.directory;
    let mut positions = Vec::with_capacity(updates.len());
    for (key, _) in &updates {
        let Some(position) = directory.policy_position(key) else {
            return call.refuse(409, "no such policy");
        };
        positions.push(position);
    }
    let mut outcome = Outcome::from(super::ok(call));
    if call.faults.has(&Fault::PolicyNotApplied) {
        return outcome;
    }
    for ((key, accepted), position) in updates.into_iter().zip(positions) {
        let required = matches!(key.as_str(), "privacy" | "termsOfUse");
        let wipes = required && !accepted && call.faults.has(&Fault::PrivacyWipesProfile);
        directory.set_policy(slot, position, accepted, wipes);
        outcome.effects.push(Effect::PolicySet { contact: call.route.id.clone(), key, accepted });
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_shapes_mean_the_same() {
        let wanted = Some(vec![("privacy".to_owned(), false)]);
        assert_eq!(read(br#"{"policyKey":"privacy","accepted":false}"#), wanted);
        assert_eq!(read(br#"{"policies":[{"policyKey":"privacy","accepted":false}]}"#), wanted);
        assert_eq!(read(br#"{"policies":{"privacy":false}}"#), wanted);
    }

    #[test]
    fn other_shapes_are_refused() {
        for body in ["", "[]", "{}", r#"{"policies":{}}"#, r#"{"policyKey":"privacy","accepted":"false"}"#] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
