-- Which state of a case may follow which: the mirror of src/domain/lifecycle.rs, which a test compares with it.

CREATE TABLE dsrd.case_transition (
  from_state text NOT NULL,
  to_state text NOT NULL,
  PRIMARY KEY (from_state, to_state)
);
COMMENT ON TABLE dsrd.case_transition IS 'Every change of state that a case may make. Changed by migrations only.';
INSERT INTO dsrd.case_transition (from_state, to_state) VALUES
  ('received', 'in_progress'), ('received', 'manual'), ('received', 'needs_identity'),
  ('received', 'needs_clarification'), ('received', 'closed'),
  ('in_progress', 'manual'), ('in_progress', 'needs_identity'), ('in_progress', 'needs_clarification'),
  ('in_progress', 'closed'),
  ('needs_identity', 'in_progress'), ('needs_identity', 'manual'), ('needs_identity', 'closed'),
  ('needs_clarification', 'in_progress'), ('needs_clarification', 'manual'), ('needs_clarification', 'closed'),
  ('manual', 'in_progress'), ('manual', 'needs_identity'), ('manual', 'needs_clarification'), ('manual', 'closed');
GRANT SELECT ON dsrd.case_transition TO dsrd_service;

CREATE FUNCTION dsrd.follow_the_states() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.case_transition
                 WHERE from_state = OLD.state AND to_state = NEW.state) THEN
    RAISE EXCEPTION 'a case does not go from % to %', OLD.state, NEW.state
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER request_follows_the_states BEFORE UPDATE ON dsrd.request
  FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION dsrd.follow_the_states();

-- What is closed stays as it ended (I-7): only forgetting touches it. The outcome and its dates are what was told.
CREATE FUNCTION dsrd.keep_closed_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a closed request is never changed; who asks again hands in a new one'
    USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER request_closed_stays BEFORE UPDATE ON dsrd.request
  FOR EACH ROW
  WHEN (OLD.state = 'closed'
        AND (OLD.kind, OLD.outcome, OLD.received_at, OLD.due_on, OLD.statutory_due_on, OLD.closed_at, OLD.informed_at,
             OLD.verified_at, OLD.executed_at)
            IS DISTINCT FROM
            (NEW.kind, NEW.outcome, NEW.received_at, NEW.due_on, NEW.statutory_due_on, NEW.closed_at, NEW.informed_at,
             NEW.verified_at, NEW.executed_at))
  EXECUTE FUNCTION dsrd.keep_closed_request();
