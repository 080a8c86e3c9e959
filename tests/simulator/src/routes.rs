//! Which call is meant by a method and a path.

use axum::http::Method;

use crate::journal::Endpoint;

/// A call with the id from its path: of a service, an organisation or a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) id: String,
}

impl Route {
    /// Reads a path; doubled slashes count as one, segments are percent-decoded.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let segments: Vec<String> =
            path.split('/').filter(|segment| !segment.is_empty()).map(percent_decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (get, put, post, delete) =
            (method == Method::GET, method == Method::PUT, method == Method::POST, method == Method::DELETE);
        let (endpoint, id) = match segments.as_slice() {
            ["v1", "sts", "login", "services"] if post => (Endpoint::Login, ""),
            ["v1", "sts", "logout"] if post => (Endpoint::Logout, ""),
            ["v1", "sts", "services", id] if get => (Endpoint::Service, *id),
            ["v2", "customers", "organizations", id] if get => (Endpoint::ListContacts, *id),
            ["v2", "customers", "organizations", id, "exist"] if get => (Endpoint::Exist, *id),
            ["v2", "customers", id] if get => (Endpoint::Contact, *id),
            ["v2", "customers", id, "events"] if get => (Endpoint::ContactEvents, *id),
            ["v2", "customers", id, "devices"] if get => (Endpoint::Devices, *id),
            ["v2", "customers", id, "accountings"] if get => (Endpoint::Accountings, *id),
            ["v1", "customers", id, "policies"] if put => (Endpoint::UpdatePolicies, *id),
            ["v1", "customers", id] if delete => (Endpoint::DeleteContact, *id),
            ["v1", "organizations", id, "policies"] if get => (Endpoint::PolicyNames, *id),
            ["v1", "organizations", id, "events"] if get => (Endpoint::OrganisationEvents, *id),
            ["v1", "organizations", id, "locations"] if get => (Endpoint::Locations, *id),
            ["v2", "segments", "organizations", id] if get => (Endpoint::Segments, *id),
            _ => (Endpoint::Unknown, ""),
        };
        Self { endpoint, id: id.to_owned() }
    }

    /// The contact id in the path.
    pub(crate) fn contact(&self) -> Option<&str> {
        let names_a_contact = matches!(
            self.endpoint,
            Endpoint::Contact
                | Endpoint::ContactEvents
                | Endpoint::Devices
                | Endpoint::Accountings
                | Endpoint::UpdatePolicies
                | Endpoint::DeleteContact
        );
        names_a_contact.then_some(self.id.as_str())
    }

    /// The organisation id in the path.
    pub(crate) fn organisation(&self) -> Option<&str> {
        let names_an_organisation = matches!(
            self.endpoint,
            Endpoint::ListContacts
                | Endpoint::Exist
                | Endpoint::PolicyNames
                | Endpoint::OrganisationEvents
                | Endpoint::Locations
                | Endpoint::Segments
        );
        names_an_organisation.then_some(self.id.as_str())
    }

    /// The scopes of the endpoint.
    pub(crate) fn scopes(&self) -> &'static [&'static str] {
        match self.endpoint {
            Endpoint::ListContacts
            | Endpoint::Exist
            | Endpoint::Contact
            | Endpoint::ContactEvents
            | Endpoint::Devices
            | Endpoint::Accountings => &["organization_read", "customer_read"],
            Endpoint::UpdatePolicies | Endpoint::DeleteContact => &["organization_write", "customer_write"],
            Endpoint::OrganisationEvents => &["organization_read", "events_read"],
            Endpoint::PolicyNames | Endpoint::Locations | Endpoint::Segments => &["organization_read"],
            Endpoint::Login
            | Endpoint::Logout
            | Endpoint::Service
            | Endpoint::Unknown
            | Endpoint::Platform => &[],
        }
    }
}

fn percent_decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = segment.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_slashes_are_one() {
        let route = Route::of(&Method::GET, "//v2//customers/organizations/abc");
        assert_eq!(route, Route { endpoint: Endpoint::ListContacts, id: "abc".to_owned() });
    }

    #[test]
    fn a_wrong_verb_is_an_unknown_path() {
        assert_eq!(Route::of(&Method::POST, "/v1/customers/abc/policies").endpoint, Endpoint::Unknown);
        assert_eq!(Route::of(&Method::DELETE, "/v2/customers/abc").endpoint, Endpoint::Unknown);
    }

    #[test]
    fn ids_are_percent_decoded() {
        assert_eq!(Route::of(&Method::GET, "/v2/customers/a%2Fb%C3%A9%").id, "a/bé%");
    }
}
