//! `README.txt` of a bundle: for an auditor, a supervisory authority or a court, who have never seen this program.

use super::{CASES, CHECKPOINT, LOG, MANIFEST, Order, POLICY, SUMS, Scope, Taken};

pub(super) fn text(order: &Order, taken: &Taken) -> String {
    let about = match &order.scope {
        Scope::Case { reference, case } => format!("the data-subject request {reference} ({case})"),
        Scope::Period { since, until } => {
            format!("the data-subject requests with an entry from {since} to before {until}")
        }
    };
    let purged = if taken.cases_purged > 0 {
        format!(
            "\n{} of the cases are not held any more, because their term of evidence is over: only their entries tell\nof them.\n",
            taken.cases_purged
        )
    } else {
        String::new()
    };
    format!(
        "EVIDENCE about {about}
of the organisation {organisation}, taken on {taken_at}.

It holds no name, address or identifier of a person. {cases} cases, {entries} entries of the audit log.
{purged}
WHAT IS WHAT
  {CASES:<14}  a line of JSON for each case: kind, dates, state and outcome; the steps carried out; decisions with
                  their ground; notices with version and SHA-256 of the text and the mail server's answer; access
                  packages with their SHA-256; recipients told of an erasure. Instants are in UTC.
  {LOG:<14}  the first line repeats the checkpoint; each other line is an entry of the audit log: its number, its
                  bytes and the hashes that prove that it stands in the log. Members of staff stand in it by a
                  random word.
  {CHECKPOINT:<14}  the signed head of that log: {size} entries.
  {POLICY:<14}  the public keys of the log.
  {MANIFEST:<14}  lists the files with their SHA-256, the versions of program and settings, and what each file
                  proves.
  {SUMS:<14}  the same hashes in the form of sha256sum.

HOW TO CHECK IT
  1. That no file of the archive was changed since it was packed (any computer):
       sha256sum -c {SUMS}
  2. That the entries stand in the signed log, and that the cases say what the log says (needs the program dsrd, but
     neither its database nor its settings):
       dsrd evidence verify FILE.zip
     Without further options it believes the keys in {POLICY}. Compare them with keys that you got another way, or
     give your own: --policy FILE.
  3. That the log itself is the one that others saw: compare {CHECKPOINT} with heads published elsewhere
     (docs/auditor-guide.md of the program, \"Heads outside\").

HOW A PROOF IS COMPUTED (c2sp.org/tlog-checkpoint, RFC 6962)
  leaf = SHA-256(0x00 || entry); with the proof's hashes, an inner node is SHA-256(0x01 || left || right); the last
  one must be the root in the third line of the checkpoint. The index of an entry is its number minus one.

WHAT IT DOES NOT PROVE
  That a mail was read; that the contact platform told the truth when it was read back; that an entry was written at
  the time that it names. The signature proves that the entries were in the log, in this order, when its head was
  signed.
",
        organisation = order.organisation,
        taken_at = order.taken_at,
        cases = taken.cases,
        entries = taken.entries,
        size = taken.size,
    )
}
