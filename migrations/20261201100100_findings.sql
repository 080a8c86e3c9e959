-- What a retention sweep finds and cannot mend: records past their own term on contacts that are kept (R-61), and data that no
-- rule names (R-59).

CREATE TABLE dsrd.sweep_finding (
  organisation_id text NOT NULL,
  sweep_id uuid NOT NULL,
  finding text NOT NULL CHECK (finding IN ('old_records', 'unclassified_data')),
  category text NOT NULL CHECK (category ~ '^([A-Za-z_][A-Za-z0-9_.-]{0,63}|\(other\))$'),
  looked_at bigint NOT NULL,
  contacts bigint NOT NULL,
  records bigint NOT NULL,
  unreadable bigint NOT NULL,
  PRIMARY KEY (organisation_id, sweep_id, finding, category),
  FOREIGN KEY (organisation_id, sweep_id) REFERENCES dsrd.sweep ON DELETE CASCADE
);
COMMENT ON TABLE dsrd.sweep_finding IS 'What a sweep found and cannot mend, as numbers. Goes with its sweep.';
COMMENT ON COLUMN dsrd.sweep_finding.category IS 'A list of records, or the name of a field of profiles; never a value.';
COMMENT ON COLUMN dsrd.sweep_finding.looked_at IS 'Among how many contacts it was looked for.';
COMMENT ON COLUMN dsrd.sweep_finding.contacts IS 'In how many of them it was found.';
COMMENT ON COLUMN dsrd.sweep_finding.records IS 'How many records those have that are past their term.';
COMMENT ON COLUMN dsrd.sweep_finding.unreadable IS 'Of how many contacts nobody can tell.';

GRANT SELECT, INSERT ON dsrd.sweep_finding TO dsrd_service;
