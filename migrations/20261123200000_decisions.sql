-- What persons decide about parked requests: which of several contacts is meant, or that the request is refused and on
-- which ground. A decision is never changed and never taken away; a refusal is carried out by the procedure of the
-- request, whose notice must be accepted before the request is closed.

CREATE TABLE dsrd.decision (
  organisation_id text NOT NULL,
  decision_id uuid NOT NULL,
  request_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('choice', 'refusal')),
  reason text NOT NULL,
  contact_id text,
  sealed_facts bytea,
  decided_by text NOT NULL CHECK (decided_by ~ '^person:[A-Za-z0-9_.-]{1,63}$'),
  decided_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, decision_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  CONSTRAINT choice_names_its_contact CHECK ((kind = 'choice') = (contact_id IS NOT NULL)),
  CONSTRAINT only_refusals_have_facts CHECK (kind = 'refusal' OR sealed_facts IS NULL),
  CONSTRAINT decided_for_a_reason CHECK (
    CASE kind
      WHEN 'choice' THEN reason IN ('told_by_person', 'details_match', 'identity_checked')
      ELSE reason ~ '^RF-(0[1-9]|1[0-7])$'
    END)
);
CREATE INDEX decision_request ON dsrd.decision (organisation_id, request_id);
CREATE UNIQUE INDEX decision_one_refusal ON dsrd.decision (organisation_id, request_id) WHERE kind = 'refusal';
COMMENT ON TABLE dsrd.decision IS 'What persons decided about requests; one row an act, never changed, never deleted.';
COMMENT ON COLUMN dsrd.decision.kind IS 'choice: which contact is meant; refusal: the request, or what is left of it, is not followed.';
COMMENT ON COLUMN dsrd.decision.reason IS 'A choice: how the person was recognised. A refusal: the ground, RF-01 to RF-17.';
COMMENT ON COLUMN dsrd.decision.contact_id IS 'The platform''s id of the contact chosen.';
COMMENT ON COLUMN dsrd.decision.sealed_facts IS 'What the controller says in support of the ground, as the person is told it; encrypted for its row.';
COMMENT ON COLUMN dsrd.decision.decided_by IS 'Who decided: person:<login>.';

CREATE FUNCTION dsrd.keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a decision is never changed: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER decision_rows_stay BEFORE UPDATE OR DELETE ON dsrd.decision
  FOR EACH ROW EXECUTE FUNCTION dsrd.keep_decision();
CREATE TRIGGER decision_stays BEFORE TRUNCATE ON dsrd.decision
  FOR EACH STATEMENT EXECUTE FUNCTION dsrd.keep_decision();
ALTER TABLE dsrd.decision ENABLE ALWAYS TRIGGER decision_rows_stay;
ALTER TABLE dsrd.decision ENABLE ALWAYS TRIGGER decision_stays;
GRANT SELECT, INSERT ON dsrd.decision TO dsrd_service;

-- A refused request: nothing was carried out that would have to be read back, and the person was told. There is no
-- refusal of an opt-out (Art. 21(2), 7(3) GDPR), and none without the decision of a person.
ALTER TABLE dsrd.request
  DROP CONSTRAINT request_outcome_check,
  DROP CONSTRAINT fulfilled_was_read_back,
  ADD CONSTRAINT request_outcome_check CHECK (
    outcome IN ('fulfilled', 'fulfilled_no_data', 'partly_fulfilled', 'refused', 'withdrawn', 'out_of_scope')) NOT VALID,
  ADD CONSTRAINT fulfilled_was_read_back CHECK (
    outcome IS NULL OR outcome IN ('refused', 'withdrawn', 'out_of_scope') OR verified_at IS NOT NULL) NOT VALID,
  ADD CONSTRAINT opt_out_is_never_refused CHECK (kind <> 'opt_out' OR outcome IS DISTINCT FROM 'refused') NOT VALID;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT request_outcome_check;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT fulfilled_was_read_back;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT opt_out_is_never_refused;

CREATE FUNCTION dsrd.refused_by_a_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.decision
                 WHERE decision.organisation_id = NEW.organisation_id AND decision.request_id = NEW.request_id
                   AND decision.kind = 'refusal') THEN
    RAISE EXCEPTION 'a request is refused by the decision of a person only' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER request_refused_by_a_person BEFORE INSERT OR UPDATE ON dsrd.request
  FOR EACH ROW WHEN (NEW.outcome = 'refused') EXECUTE FUNCTION dsrd.refused_by_a_person();

-- The notice of a refusal says what the controller says in support of it: that text is sealed.
ALTER TABLE dsrd.notice
  DROP CONSTRAINT notice_kind_check,
  ADD CONSTRAINT notice_kind_check CHECK (
    kind IN ('acknowledgement', 'access_ready', 'no_data', 'erasure_done', 'erasure_partly_done', 'opt_out_done',
             'refused', 'withdrawn')) NOT VALID,
  ADD COLUMN sealed_words bytea;
ALTER TABLE dsrd.notice VALIDATE CONSTRAINT notice_kind_check;
COMMENT ON COLUMN dsrd.notice.sealed_words IS 'For refused: what the controller says in support of the ground, encrypted for its row.';

-- A person corrects a producer's parked row and hands it in, or removes it; either stands in the audit log.
GRANT DELETE ON dsrd.intake_parked TO dsrd_service;

CREATE VIEW audit_view.decision AS
  SELECT organisation_id, request_id AS case_id, decision_id, kind, reason, sealed_facts IS NOT NULL AS has_facts,
         decided_by, decided_at
  FROM dsrd.decision;
COMMENT ON VIEW audit_view.decision IS 'What persons decided about requests, without the contact chosen and without the facts told.';
GRANT SELECT ON audit_view.decision TO auditor, dsrd_service;
