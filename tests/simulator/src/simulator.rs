//! Starting and stopping.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::connection::{Door, Grip};
use crate::faults::Faults;
use crate::journal::Journal;
use crate::organisation::OrganisationHandle;
use crate::server::{Shared, answer_call};
use crate::settings::Settings;

/// Why a simulator did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// Two organisations have the same name, id or client key.
    SameOrganisation(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, _) => {
                write!(formatter, "cannot listen on {address}; choose another address")
            }
            Self::SameOrganisation(name) => {
                write!(formatter, "organisation {name} has the name, id or key of another; make them differ")
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error) => Some(error),
            Self::SameOrganisation(_) => None,
        }
    }
}

/// A running simulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator on the current tokio runtime.
    ///
    /// # Errors
    /// When the address is taken or two organisations cannot be told apart.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        for (at, organisation) in settings.organisations.iter().enumerate() {
            let same = settings.organisations[..at].iter().any(|other| {
                other.name == organisation.name
                    || other.organisation_id == organisation.organisation_id
                    || other.client_key == organisation.client_key
            });
            if same {
                return Err(StartError::SameOrganisation(organisation.name.clone()));
            }
        }
        let listen = settings.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| StartError::Listen(listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;
        let shared = Arc::new(Shared::new(settings));
        let stop = shared.stop.clone();
        let service = Router::new()
            .fallback_service(answer_call.with_state(Arc::clone(&shared)))
            .into_make_service_with_connect_info::<Grip>();
        let door = Door::new(listener, stop.clone());
        let task = tokio::spawn(async move {
            let serving = axum::serve(door, service);
            // Accepting never fails; connections end by themselves when the token is cancelled.
            tokio::select! {
                _ = serving => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Self { shared, address, task: Some(task) })
    }

    /// The address of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, such as `http://127.0.0.1:40123`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An organisation by its name in the settings.
    ///
    /// # Panics
    /// When there is none of this name: a mistake of the test.
    #[must_use]
    pub fn organisation(&self, name: &str) -> OrganisationHandle {
        self.organisations()
            .into_iter()
            .find(|organisation| organisation.name() == name)
            .unwrap_or_else(|| panic!("the simulator has no organisation called {name}"))
    }

    /// All organisations, in the order of the settings.
    #[must_use]
    pub fn organisations(&self) -> Vec<OrganisationHandle> {
        (0..self.shared.organisations.len())
            .map(|at| OrganisationHandle::new(Arc::clone(&self.shared), at))
            .collect()
    }

    /// Fault switches for all organisations, and for calls of none.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// The journal of all organisations.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.shared.journal.clone()
    }

    /// Stops listening and ends all connections. Calls that hang in a fault end as well.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        if let Some(task) = self.task.take() {
            // The task ends because of the cancellation; a panic in it has been reported by the runtime.
            drop(task.await);
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
