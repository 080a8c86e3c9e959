//! How staff found out who asks: by what they saw or compared, or by the code of a message that the person tells them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use super::{Decided, Named, begin};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::cli::request::unasked;
use crate::daemon::Foundation;
use crate::domain::{Personal, Reference, RequestId};
use crate::identity::{self, Check, CodeCheck};

/// The code as given, or the first line of standard input. At a terminal it is asked for, and shown as it is typed.
pub(super) fn code_of(given: &str) -> anyhow::Result<Personal<String>> {
    if given != "-" {
        return Ok(Personal::new(given.to_owned()));
    }
    if io::stdin().is_terminal() {
        let mut talk = anstream::stderr();
        write!(talk, "The code that they told you: ")?;
        talk.flush()?;
    }
    // Longer than any code, with whatever somebody puts between its digits.
    let mut line = String::new();
    io::stdin().lock().take(100).read_line(&mut line)?;
    Ok(Personal::new(line.trim().to_owned()))
}

/// How staff know who asks.
pub(super) enum Known {
    /// They found out in this way.
    Check(Check),
    /// They were told the code of a message to the person.
    Code(Personal<String>),
}

pub(super) async fn identify(
    named: &Named,
    known: Known,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let (mut tx, controller, request) = begin("cli.identify", named, context, foundation).await?;
    let (desk, actor) = (&foundation.desk, context.person());
    let reason = match known {
        Known::Check(check) => {
            let method = check.method;
            let recorded = identity::record_check(&mut tx, desk, controller, request, check, actor).await;
            recorded.map_err(unasked)?;
            tx.commit().await?;
            method.as_str()
        }
        Known::Code(code) => {
            let checked = identity::record_code(&mut tx, desk, controller, request, &code, actor).await;
            let checked = checked.map_err(unasked)?;
            // A wrong code is counted, too.
            tx.commit().await?;
            told(checked, request)?
        }
    };
    let decided =
        Decided { reference: Reference::of(request), decision: "identity", reason, proposed: false };
    output.show(&decided, |decided| {
        format!("{}: recorded ({}); it goes on if it waited for that", decided.reference, decided.reason)
    })
}

/// The word for a code that was right; else what to do.
fn told(checked: CodeCheck, request: RequestId) -> anyhow::Result<&'static str> {
    let reference = Reference::of(request);
    let problem = match checked {
        CodeCheck::Proven => return Ok("code"),
        CodeCheck::Wrong(0) => format!(
            "the code is wrong, and no code of {reference} works any more; the link in the message still does, and \
             dsrd request ask-again {reference} sends another message"
        ),
        CodeCheck::Wrong(left) => format!(
            "the code is wrong; {left} more wrong ones end the codes of {reference}. Ask the person to read it from our latest message"
        ),
        CodeCheck::NoneWorks => format!(
            "{reference} has no code that works: the person was not asked, has confirmed already, or took too long; \
             dsrd request ask-again {reference} sends another message to a request that waits for it"
        ),
    };
    Err(Failure::Refused.because(problem))
}
