//! `dsrd audit verify --receipts`: the receipts of a directory, checked without the log.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::verify::{Policy, Proven, check_receipt};
use crate::cli::Failure;
use crate::cli::exit::Verification;
use crate::cli::output::{Output, or_dash, table};

/// The longest file that is read: an entry or a proof.
const MOST_BYTES: u64 = 1024 * 1024;

/// One receipt, and what it proves or why it proves nothing.
#[derive(Debug, Serialize)]
struct Checked {
    receipt: PathBuf,
    #[serde(flatten)]
    proven: Option<Proven>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn run(directory: &Path, policy: &Policy, output: &Output) -> anyhow::Result<()> {
    let unreadable =
        |error: io::Error| Failure::Usage.because(format!("{} cannot be read: {error}", directory.display()));
    let mut proofs = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "tlog-proof") {
            proofs.push(path);
        }
    }
    proofs.sort();
    let mut missing = 0_usize;
    let checked: Vec<Checked> = proofs
        .into_iter()
        .map(|receipt| {
            let entry = receipt.with_extension("json");
            match (read(&entry), read(&receipt)) {
                (Ok(bytes), Ok(proof)) => match check_receipt(policy, &bytes, &proof) {
                    Ok(proven) => Checked { receipt, proven: Some(proven), problem: None },
                    Err(error) => {
                        let problem = anyhow::Error::from(error);
                        let chain: Vec<String> = problem.chain().map(ToString::to_string).collect();
                        Checked { receipt, proven: None, problem: Some(chain.join(": ")) }
                    }
                },
                (Err(error), _) => {
                    missing += 1;
                    let problem = format!("{} cannot be read: {error}", entry.display());
                    Checked { receipt, proven: None, problem: Some(problem) }
                }
                (_, Err(error)) => {
                    missing += 1;
                    Checked { receipt, proven: None, problem: Some(format!("it cannot be read: {error}")) }
                }
            }
        })
        .collect();
    output.show(&checked, |checked| shown(checked))?;
    let refuted = checked.iter().filter(|each| each.proven.is_none()).count() - missing;
    let ended = |code, message: String| Err(Verification { code, message }.into());
    match (checked.len(), refuted, missing) {
        (0, _, _) => ended(2, format!("cannot be decided: there is no receipt in {}", directory.display())),
        (of, 1.., _) => ended(1, format!("violated: {refuted} of {of} receipts prove nothing")),
        (of, 0, 1..) => ended(2, format!("cannot be decided: {missing} of {of} receipts are not whole")),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES { Err(io::Error::other("it is too long")) } else { Ok(content) }
}

fn shown(checked: &[Checked]) -> String {
    let rows = checked.iter().map(|each| {
        let name = each.receipt.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(proven) = &each.proven else {
            let problem = each.problem.clone().unwrap_or_default();
            return vec![name.unwrap_or_default(), "PROVES NOTHING".to_owned(), problem];
        };
        let what = match &proven.item {
            Some(item) => format!(
                "{}: the erasure of contact {} as case {} is item {} of {}",
                proven.action,
                item.contact,
                item.case,
                item.index + 1,
                item.items
            ),
            None => format!(
                "{} at {}, case {}, outcome {}",
                proven.action,
                proven.at.to_rfc3339(),
                or_dash(proven.case.as_ref()),
                or_dash(proven.outcome.as_ref())
            ),
        };
        vec![name.unwrap_or_default(), format!("proven, entry {} of {}", proven.seq, proven.under), what]
    });
    table(&["receipt", "result", "what"], rows)
}
