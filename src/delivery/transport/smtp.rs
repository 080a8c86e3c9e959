//! Mails to a server, spoken command by command so that a failure is known with its phase.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use tokio::sync::Semaphore;

use super::{Effect, Failure};
use crate::delivery::{DeliveryError, Outgoing, Security, Settings};
use crate::secret_file::read_secret;

/// Sends through a mail server, one connection a message, a bounded number at once.
///
/// lettre's own time-out covers the TCP connect only and its pool bounds kept connections, not open ones: hence one
/// time-out around everything and a semaphore in front.
pub struct SmtpTransport {
    host: String,
    port: u16,
    security: Security,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello_name: ClientId,
    timeout: Duration,
    permits: Semaphore,
}

impl std::fmt::Debug for SmtpTransport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SmtpTransport")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl SmtpTransport {
    /// Reads the password and the certificate. Nothing is connected yet.
    pub async fn open(settings: &Settings) -> Result<Self, DeliveryError> {
        let smtp = &settings.smtp;
        let credentials = match (&smtp.username, &smtp.password_file) {
            (Some(username), Some(path)) => {
                let password = read_secret("delivery.smtp.password_file", path)?;
                Some(Credentials::new(username.clone(), password.as_str().to_owned()))
            }
            _ => None,
        };
        let tls = if smtp.security == Security::None {
            None
        } else {
            let wrong = |_| DeliveryError::Setting {
                setting: "smtp.ca_file",
                problem:
                    "no TLS set-up can be made; install ca-certificates, or name a PEM file with an authority"
                        .to_owned(),
            };
            let mut builder = TlsParameters::builder(smtp.host.clone());
            if let Some(path) = &smtp.ca_file {
                let pem = tokio::fs::read(path)
                    .await
                    .map_err(|source| DeliveryError::SettingFile { setting: "smtp.ca_file", source })?;
                builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(wrong)?);
            }
            Some(builder.build().map_err(wrong)?)
        };
        Ok(Self {
            host: smtp.host.clone(),
            port: smtp.port,
            security: smtp.security,
            tls,
            credentials,
            hello_name: smtp.hello_name.clone().map_or_else(ClientId::default, ClientId::Domain),
            timeout: Duration::from_secs(settings.send_timeout_secs.into()),
            permits: Semaphore::new(smtp.max_connections.into()),
        })
    }

    pub(super) async fn send(&self, mail: &Outgoing) -> Result<String, Failure> {
        // Waiting for a place counts as well: otherwise a server that hangs would hold everybody up behind it.
        let Ok(Ok(_permit)) = tokio::time::timeout(self.timeout, self.permits.acquire()).await else {
            return Err(Failure::temporary("busy", Effect::None));
        };
        let body_began = AtomicBool::new(false);
        if let Ok(answer) = tokio::time::timeout(self.timeout, self.converse(mail, &body_began)).await {
            return answer;
        }
        let effect = if body_began.load(Ordering::Relaxed) { Effect::Unknown } else { Effect::None };
        Err(Failure::temporary("timeout", effect))
    }

    /// Connects, secures the connection and logs in as for a mail, and says good-bye without sending one.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let visit = async {
            let mut connection = self.connect().await?;
            step(&mut connection, Noop, |failed| temporary(failed, "noop", Effect::None)).await?;
            drop(tokio::time::timeout(GOOD_BYE, connection.quit()).await);
            Ok(())
        };
        let late = |_| Err(Failure::temporary("timeout", Effect::None));
        tokio::time::timeout(self.timeout, visit).await.unwrap_or_else(late)
    }

    async fn converse(&self, mail: &Outgoing, body_began: &AtomicBool) -> Result<String, Failure> {
        let mut connection = self.connect().await?;
        let mut parameters = Vec::new();
        if !mail.envelope_is_ascii() {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                connection.abort().await;
                // Our own address is our set-up, as below.
                let permanent = mail.sender_is_ascii();
                return Err(Failure { code: "no_smtputf8".to_owned(), permanent, effect: Effect::None });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = Mail::new(Some(mail.from().clone()), parameters);
        // A sender that is refused is our set-up, whoever the recipient is: a person must change the settings, and the
        // notice waits for that.
        step(&mut connection, from, |failed| temporary(failed, "mail_from", Effect::None)).await?;
        let to = Rcpt::new(mail.to().expose().clone(), Vec::new());
        step(&mut connection, to, |failed| about_recipient(failed, Effect::None)).await?;
        step(&mut connection, Data, |failed| about_recipient(failed, Effect::None)).await?;
        body_began.store(true, Ordering::Relaxed);
        let response = connection.message(mail.raw()).await;
        let taken = match response {
            Ok(response) => Ok(response.code().to_string()),
            Err(failed) => Err(about_recipient(&failed, Effect::Unknown)),
        };
        // The message is taken or not by now, whatever becomes of the good-bye.
        drop(tokio::time::timeout(GOOD_BYE, connection.quit()).await);
        taken
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let server = (self.host.as_str(), self.port);
        let first_byte_tls = if self.security == Security::Tls { self.tls.clone() } else { None };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            server,
            Some(self.timeout),
            &self.hello_name,
            first_byte_tls,
            None,
        )
        .await
        .map_err(|failed| temporary(&failed, "connection", Effect::None))?;
        if let (Security::Starttls, Some(tls)) = (self.security, &self.tls) {
            if !connection.can_starttls() {
                connection.abort().await;
                return Err(Failure::temporary("no_starttls", Effect::None));
            }
            connection
                .starttls(tls.clone(), &self.hello_name)
                .await
                .map_err(|failed| temporary(&failed, "tls", Effect::None))?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if let Err(failed) = connection.auth(&mechanisms, credentials).await {
                connection.abort().await;
                return Err(temporary(&failed, "login", Effect::None));
            }
        }
        Ok(connection)
    }
}

const GOOD_BYE: Duration = Duration::from_secs(2);

async fn step(
    connection: &mut AsyncSmtpConnection,
    command: impl std::fmt::Display,
    judge: impl FnOnce(&smtp::Error) -> Failure,
) -> Result<(), Failure> {
    match connection.command(command).await {
        Ok(_) => Ok(()),
        Err(failed) => {
            connection.abort().await;
            Err(judge(&failed))
        }
    }
}

/// A failure that is nobody's fault for good. `phase` is the code when the server gave none.
fn temporary(failed: &smtp::Error, phase: &str, effect: Effect) -> Failure {
    match failed.status() {
        Some(code) => Failure::temporary(code.to_string(), Effect::None),
        None if failed.is_tls() => Failure::temporary("tls", effect),
        None => Failure::temporary(phase, effect),
    }
}

/// A failure at RCPT, DATA or after the body: there a 5xx concerns the recipient or the message, apart from the codes
/// that say that we have not logged in or spoke nonsense (500 to 504, 521, 530 to 538).
fn about_recipient(failed: &smtp::Error, effect: Effect) -> Failure {
    let Some(status) = failed.status() else {
        return temporary(failed, "connection", effect);
    };
    let code = u16::from(status);
    let refused = (550..=556).contains(&code) || code == 541 || code == 571;
    if refused {
        Failure::permanent(code.to_string())
    } else {
        Failure::temporary(code.to_string(), Effect::None)
    }
}
