//! The list of what somebody with all rights on the database may do to the log, in statements.
//!
//! The drill runs it for people, and the project's tests run it against every build: one list, so that neither knows of a
//! manipulation that the other does not.

use uuid::Uuid;

use crate::audit::tlog::{HASH_BYTES, TILE_WIDTH, Tile};
use crate::audit::verify::Level;

/// How many entries in a row a [`Scene`] needs: each manipulation of one entry takes another one of them.
pub const RUN: u64 = 8;

/// What is needed of a copy to know where to manipulate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// How many entries the head covers.
    pub size: u64,
    /// Number of the first entry that is there; later than 1 in a log that was pruned.
    pub first: u64,
    /// Number of the first of [`RUN`] entries in a row that are there and were written by this form of the log (`v` 1).
    pub run: u64,
    /// How many signed heads the log itself kept.
    pub kept_heads: u64,
    /// Number and id of an entry `sweep.page` beside which the commitments to its items stand; none where no sweep has
    /// submitted anything, and in files, which hold no commitments.
    pub page: Option<(u64, Uuid)>,
}

impl Scene {
    /// How many entries were pruned. What lets them go may lie behind the end of the copy, so that a copy is verified from there on.
    #[must_use]
    pub const fn gone(&self) -> u64 {
        self.first.saturating_sub(1)
    }
}

/// Something that is done to a log behind its back.
#[derive(Clone, Debug)]
pub struct Manipulation {
    /// A short name.
    pub name: &'static str,
    /// What is done, as a sentence.
    pub deed: String,
    /// What must be there for it to be found.
    pub needs: Level,
    /// The statements of a superuser; none where this log has nothing to which it could be done, with the reason.
    pub statements: Result<String, &'static str>,
    /// How the place of the first violation begins.
    pub place: String,
    /// What the violation says, in part.
    pub says: &'static str,
}

/// The whole list, for one copy.
#[must_use]
pub fn manipulations(scene: &Scene) -> Vec<Manipulation> {
    let mut all =
        [of_entries(scene), of_definitions(scene), of_functions_and_rights(), of_the_tree(scene)].concat();
    all.push(of_a_page(scene));
    all
}

/// Switches the guards of a table off for some statements, and on again as they were shipped.
pub(super) fn unguarded(table: &str, statements: &str) -> String {
    let (tables, guards): (&[&str], &[(&str, &str)]) = match table {
        "entry" => (
            &["entry", "entry_000000", "entry_000001"],
            &[
                ("entry", "entry_rows_stay"),
                ("entry", "entry_stays"),
                ("entry_000000", "entry_000000_stays"),
                ("entry_000001", "entry_000001_stays"),
            ],
        ),
        "head" => {
            (&["head"], &[("head", "head_moves_forward"), ("head", "head_row_stays"), ("head", "head_stays")])
        }
        "tile" => (&["tile"], &[("tile", "tile_rows_stay"), ("tile", "tile_stays")]),
        "inbox" => (&["inbox"], &[("inbox", "inbox_rows_stay"), ("inbox", "inbox_stays")]),
        "manifest" => (&["manifest"], &[("manifest", "manifest_rows_stay"), ("manifest", "manifest_stays")]),
        _ => (&["checkpoint"], &[("checkpoint", "checkpoint_rows_stay"), ("checkpoint", "checkpoint_stays")]),
    };
    let off = tables.iter().map(|table| format!("ALTER TABLE audit.{table} DISABLE TRIGGER USER; "));
    let on = guards
        .iter()
        .map(|(table, guard)| format!("; ALTER TABLE audit.{table} ENABLE ALWAYS TRIGGER {guard}"));
    format!("{}{statements}{}", off.collect::<String>(), on.collect::<String>())
}

/// Replaces a part of an entry's bytes.
pub(super) fn edit(seq: u64, from: &str, to: &str) -> String {
    unguarded(
        "entry",
        &format!(
            "UPDATE audit.entry
             SET entry = convert_to(regexp_replace(convert_from(entry, 'UTF8'), '{from}', '{to}'), 'UTF8')
             WHERE seq = {seq}"
        ),
    )
}

fn of_entries(scene: &Scene) -> Vec<Manipulation> {
    let Scene { size, first, run, .. } = *scene;
    let make = |name, deed: String, statements: String, place: String, says| Manipulation {
        name,
        deed,
        needs: Level::L1,
        statements: Ok(statements),
        place,
        says,
    };
    let (deleted, moved, own) = (run + 1, run + 3, run + 6);
    vec![
        make(
            "edit",
            format!("a word in entry {run} is changed"),
            edit(run, "\"v\":1", "\"v\":0"),
            format!("entry {run}"),
            "do not hash",
        ),
        make(
            "back-date",
            format!("entry {} gets another instant", run + 5),
            edit(run + 5, "\"at_us\":[0-9]+", "\"at_us\":1"),
            format!("entry {}", run + 5),
            "do not hash",
        ),
        make(
            "delete",
            format!("entry {deleted} is deleted"),
            unguarded("entry", &format!("DELETE FROM audit.entry WHERE seq = {deleted}")),
            format!("entry {deleted}"),
            "gone",
        ),
        make(
            "reorder",
            format!("the entries {moved} and {} change places", moved + 1),
            unguarded(
                "entry",
                &format!(
                    "UPDATE audit.entry SET seq = {beyond} WHERE seq = {moved};
                     UPDATE audit.entry SET seq = {moved} WHERE seq = {after};
                     UPDATE audit.entry SET seq = {after} WHERE seq = {beyond}",
                    after = moved + 1,
                    beyond = size + 9999,
                ),
            ),
            format!("entry {moved}"),
            "do not hash",
        ),
        make(
            "truncate",
            "all entries are removed".to_owned(),
            unguarded("entry", "TRUNCATE audit.entry"),
            format!("entries {first} to"),
            "gone",
        ),
        make(
            "cut the tail",
            "the ten newest entries are removed".to_owned(),
            unguarded("entry", &format!("DELETE FROM audit.entry WHERE seq > {}", size - 10)),
            format!("entries {} to", size - 9),
            "gone",
        ),
        make(
            "insert behind the head",
            "an entry is put behind the newest one, past the sealer".to_owned(),
            "INSERT INTO audit.entry (seq, entry)
             SELECT seq + 1, entry FROM audit.entry ORDER BY seq DESC LIMIT 1"
                .to_owned(),
            "entries ".to_owned(),
            "no signed head covers",
        ),
        Manipulation {
            needs: Level::L0,
            ..make(
                "a column of its own",
                format!("entry {own} is shown with an outcome that its bytes do not have"),
                unguarded(
                    "entry",
                    &format!(
                        "ALTER TABLE audit.entry ALTER COLUMN outcome DROP EXPRESSION;
                         UPDATE audit.entry SET outcome = 'done' WHERE seq = {own}"
                    ),
                ),
                "audit.entry".to_owned(),
                "column outcome",
            )
        },
    ]
}

/// One that is found by comparing the definition of the tables with the shipped one, without any signature.
fn of_a_definition(
    name: &'static str,
    deed: &str,
    statements: &str,
    place: &str,
    says: &'static str,
) -> Manipulation {
    Manipulation {
        name,
        deed: deed.to_owned(),
        needs: Level::L0,
        statements: Ok(statements.to_owned()),
        place: place.to_owned(),
        says,
    }
}

fn of_definitions(scene: &Scene) -> Vec<Manipulation> {
    let make = of_a_definition;
    let hidden = scene.run + 2;
    vec![
        make(
            "detach",
            "a partition is taken out of the log's table",
            "ALTER TABLE audit.entry DETACH PARTITION audit.entry_000000",
            "audit.entry_000000",
            "not shipped",
        ),
        Manipulation {
            needs: Level::L1,
            ..make(
                "drop a partition",
                "a partition is dropped with its entries",
                "DROP TABLE audit.entry_000000",
                &format!("entries {} to", scene.first),
                "gone",
            )
        },
        make(
            "hide from auditors",
            &format!("a policy hides entry {hidden} from everybody but superusers"),
            &format!(
                "ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY hide ON audit.entry USING (seq <> {hidden})"
            ),
            "audit.entry",
            "row security t",
        ),
        make(
            "swallow by rule",
            "a rule lets new entries vanish",
            "CREATE RULE swallow AS ON INSERT TO audit.inbox DO INSTEAD NOTHING",
            "audit.inbox",
            "rule swallow",
        ),
        make(
            "swallow by trigger",
            "a trigger lets new entries vanish",
            "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER swallow BEFORE INSERT ON audit.inbox FOR EACH ROW EXECUTE FUNCTION public.swallow()",
            "audit.inbox",
            "trigger swallow",
        ),
        make(
            "guards off",
            "the triggers that refuse changes are switched off",
            "ALTER TABLE audit.entry DISABLE TRIGGER USER",
            "audit.entry",
            "enabled D",
        ),
        make(
            "guards for replicas only",
            "a guard is made to fire on replicas only",
            "ALTER TABLE audit.tile ENABLE REPLICA TRIGGER tile_rows_stay",
            "audit.tile",
            "enabled R",
        ),
        make(
            "guard dropped from the catalogue",
            "a guard is deleted from the system catalogue",
            "DELETE FROM pg_trigger WHERE tgname = 'checkpoint_rows_stay'",
            "audit.checkpoint",
            "is missing",
        ),
    ]
}

fn of_functions_and_rights() -> Vec<Manipulation> {
    let make = of_a_definition;
    vec![
        make(
            "guard made harmless",
            "the function behind the guards is replaced by one that allows everything",
            "CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger
             LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "audit.refuse_change()",
            "function is",
        ),
        make(
            "generated otherwise",
            "the function behind the columns is replaced by one that invents them",
            "CREATE OR REPLACE FUNCTION audit.field(entry bytea, name text) RETURNS text
             LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS 'BEGIN RETURN ''x''; END'",
            "audit.field",
            "function is",
        ),
        make(
            "view replaced",
            "the view of open effects is replaced by one that is always empty",
            "CREATE OR REPLACE VIEW audit_view.open_intent AS
             SELECT seq, at, organisation_id, case_id, action, actor, uid FROM audit_view.log WHERE false",
            "audit_view.open_intent",
            "view is",
        ),
        make(
            "rights given",
            "a role gets the right to delete entries",
            "GRANT DELETE ON audit.entry TO dsrd_producer",
            "audit.entry",
            "grant to dsrd_producer",
        ),
    ]
}

fn of_the_tree(scene: &Scene) -> Vec<Manipulation> {
    let Scene { size, run, kept_heads, .. } = *scene;
    let width = u64::from(TILE_WIDTH);
    // The last hash of the upper edge is that of a tile of which all entries are there, or of none.
    let has_whole_tile = size / width > scene.gone().div_ceil(width);
    let make = |name, deed: &str, statements, place: String, says| Manipulation {
        name,
        deed: deed.to_owned(),
        needs: Level::L1,
        statements,
        place,
        says,
    };
    let tile = (run - 1) / width;
    let byte = (run - 1) % width * (HASH_BYTES as u64) + 8;
    let has_full_tile = (tile + 1) * width <= size;
    let upper =
        Tile::of_tree(1, size / (width * width), size).filter(|tile| !tile.is_full() && has_whole_tile);
    vec![
        make(
            "tile changed",
            "a bit of a hash in a full tile is turned",
            if has_full_tile {
                Ok(unguarded(
                    "tile",
                    &format!(
                        "UPDATE audit.tile SET hashes = set_byte(hashes, {byte}, get_byte(hashes, {byte}) # 1)
                         WHERE level = 0 AND n = {tile}"
                    ),
                ))
            } else {
                Err("the log has no full tile yet (256 entries)")
            },
            format!("entry {run}"),
            "do not hash",
        ),
        make(
            "edge changed",
            "a bit of a hash at the right edge of the tree is turned",
            if upper.is_some() {
                Ok("UPDATE audit.edge
                    SET hashes = set_byte(hashes, octet_length(hashes) - 1, get_byte(hashes, octet_length(hashes) - 1) # 1)
                    WHERE level = 1"
                    .to_owned())
            } else {
                Err("the tree of this log has no upper edge")
            },
            upper.map(Tile::path).unwrap_or_default(),
            "is not that",
        ),
        make(
            "head edited",
            "the number in the signed head is changed",
            Ok(unguarded(
                "head",
                &format!(
                    "UPDATE audit.head SET note = regexp_replace(note, E'\\n[0-9]+\\n', E'\\n{}\\n')",
                    size - 1
                ),
            )),
            "checkpoint".to_owned(),
            "not validly signed",
        ),
        make(
            "head's columns edited",
            "the number beside the signed head is changed",
            Ok(unguarded("head", "UPDATE audit.head SET size = size - 1")),
            "audit.head".to_owned(),
            "not what its signed note says",
        ),
        make(
            "kept head replaced",
            "an older signed head is replaced by a newer one",
            if kept_heads > 1 {
                Ok(unguarded(
                    "checkpoint",
                    "UPDATE audit.checkpoint SET note = (SELECT note FROM audit.checkpoint ORDER BY size DESC LIMIT 1)
                     WHERE size = (SELECT min(size) FROM audit.checkpoint)",
                ))
            } else {
                Err("the log kept fewer than two heads, or they are not in this copy")
            },
            "kept checkpoint".to_owned(),
            "another size",
        ),
    ]
}

fn of_a_page(scene: &Scene) -> Manipulation {
    Manipulation {
        name: "item of a sweep exchanged",
        deed: "a bit of a commitment beside the entry of a sweep's page is turned".to_owned(),
        needs: Level::L1,
        statements: scene
            .page
            .map(|(_, id)| {
                let change = "UPDATE audit.manifest SET commitments = set_byte(commitments, 0, get_byte(commitments, 0) # 1)";
                unguarded("manifest", &format!("{change} WHERE uid = '{id}'"))
            })
            .ok_or("no page of a sweep with its commitments is in this copy"),
        place: scene.page.map(|(seq, _)| format!("entry {seq}")).unwrap_or_default(),
        says: "are not those that it has the root of",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_manipulation_has_a_name_and_a_deed_of_its_own() {
        let list = manipulations(&Scene {
            size: 300,
            first: 1,
            run: 17,
            kept_heads: 2,
            page: Some((9, Uuid::nil())),
        });
        let names: BTreeSet<&str> = list.iter().map(|each| each.name).collect();
        let deeds: BTreeSet<&str> = list.iter().map(|each| each.deed.as_str()).collect();
        assert_eq!((names.len(), deeds.len()), (list.len(), list.len()));
        assert!(list.iter().all(|each| each.statements.is_ok()));
    }

    #[test]
    fn what_a_short_log_does_not_have_is_told() {
        let list = manipulations(&Scene { size: 40, first: 1, run: 17, kept_heads: 1, page: None });
        let left_out: Vec<&str> =
            list.iter().filter(|each| each.statements.is_err()).map(|each| each.name).collect();
        assert_eq!(
            left_out,
            ["tile changed", "edge changed", "kept head replaced", "item of a sweep exchanged"]
        );
    }

    #[test]
    fn guards_are_switched_on_again_as_they_were_shipped() {
        let text = unguarded("head", "SELECT 1");
        assert_eq!(text.matches("DISABLE TRIGGER USER").count(), 1);
        assert_eq!(text.matches("ENABLE ALWAYS TRIGGER").count(), 3);
        assert_eq!(unguarded("entry", "SELECT 1").matches("DISABLE").count(), 3);
    }
}
