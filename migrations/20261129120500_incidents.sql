-- Breaches that a request led to (Art. 33, 34 GDPR; R-36): who declared it, since when it is known, until when the authority
-- must be told. While one is open, nothing of its case is forgotten: it is the evidence.

CREATE TABLE dsrd.incident (
  organisation_id text NOT NULL,
  incident_id uuid NOT NULL,
  request_id uuid NOT NULL,
  cause text NOT NULL CHECK (cause IN ('misdirected', 'disclosed', 'lost', 'altered')),
  categories text[] NOT NULL CHECK (categories <@ ARRAY['profile', 'events', 'devices', 'accountings', 'request']
                                    AND cardinality(categories) > 0),
  aware_at timestamptz NOT NULL,
  authority_due_at timestamptz,
  declared_by text NOT NULL CHECK (declared_by ~ '^person:[A-Za-z0-9_.-]{1,63}$'),
  declared_at timestamptz NOT NULL,
  ended_as text CHECK (ended_as IN ('reported', 'no_risk')),
  ended_by text CHECK (ended_by ~ '^person:[A-Za-z0-9_.-]{1,63}$'),
  ended_at timestamptz,
  PRIMARY KEY (organisation_id, incident_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  CONSTRAINT aware_before_declaring CHECK (aware_at <= declared_at),
  CONSTRAINT ended_by_somebody CHECK (
    (ended_as IS NULL) = (ended_by IS NULL) AND (ended_as IS NULL) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX incident_one_open ON dsrd.incident (organisation_id, request_id) WHERE ended_as IS NULL;
COMMENT ON TABLE dsrd.incident IS 'Breaches of personal data that requests led to. While one is open, its case is not forgotten.';
COMMENT ON COLUMN dsrd.incident.cause IS 'misdirected: an answer went to somebody else; disclosed, lost, altered: data were.';
COMMENT ON COLUMN dsrd.incident.categories IS 'Which categories of data are affected.';
COMMENT ON COLUMN dsrd.incident.authority_due_at IS 'Until when the authority must be told, in hours from aware_at; nothing where the regime sets no hours.';
COMMENT ON COLUMN dsrd.incident.ended_as IS 'reported: the authority was told; no_risk: it need not be, which stands in the record of breaches (Art. 33(5)).';
GRANT SELECT, INSERT, UPDATE (ended_as, ended_by, ended_at), DELETE ON dsrd.incident TO dsrd_service;

CREATE FUNCTION dsrd.keep_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM dsrd.incident
             WHERE incident.organisation_id = OLD.organisation_id AND incident.request_id = OLD.request_id
               AND incident.ended_as IS NULL) THEN
    RAISE EXCEPTION 'a case with an open incident is evidence and is not forgotten'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN
    RETURN OLD;
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER request_is_evidence BEFORE DELETE ON dsrd.request
  FOR EACH ROW EXECUTE FUNCTION dsrd.keep_evidence();
CREATE TRIGGER request_stays_known BEFORE UPDATE ON dsrd.request
  FOR EACH ROW
  WHEN ((OLD.identifiers_forgotten_at, OLD.contact_forgotten_at)
        IS DISTINCT FROM (NEW.identifiers_forgotten_at, NEW.contact_forgotten_at))
  EXECUTE FUNCTION dsrd.keep_evidence();
