-- How much was handed in by whom in a window of time (src/intake/flood): beyond the limits requests wait a little, so that a
-- flood keeps nobody else waiting (S-10). Nothing is refused.

CREATE TABLE dsrd.intake_rate (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  scope text NOT NULL CHECK (scope IN ('everybody', 'identifier', 'source')),
  key text NOT NULL CHECK (length(key) <= 200),
  window_start timestamptz NOT NULL,
  accepted bigint NOT NULL CHECK (accepted > 0),
  held_back bigint NOT NULL DEFAULT 0,
  unacknowledged bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (organisation_id, scope, key, window_start)
) WITH (fillfactor = 70);
COMMENT ON TABLE dsrd.intake_rate IS 'Counters of what was handed in; gone after a month.';
COMMENT ON COLUMN dsrd.intake_rate.scope IS 'everybody and source: in an hour; identifier: in a day, in UTC.';
COMMENT ON COLUMN dsrd.intake_rate.key IS 'source: the database role and the channel; identifier: the keyed pseudonym as in dsrd.identifier, as hexadecimal digits; everybody: empty.';
COMMENT ON COLUMN dsrd.intake_rate.accepted IS 'Messages accepted in the window; all of them were.';
COMMENT ON COLUMN dsrd.intake_rate.held_back IS 'Of these, requests that began later because of this counter.';
COMMENT ON COLUMN dsrd.intake_rate.unacknowledged IS 'Of these, reminders whose receipt was not acknowledged by mail once more.';
GRANT SELECT, INSERT, UPDATE, DELETE ON dsrd.intake_rate TO dsrd_service;
