-- What else persons decide: an extension of the term (R-6), a question to the person, and both by two persons where the
-- organisation wants that. Dates follow from events only (I-6).

ALTER TABLE dsrd.decision
  ADD COLUMN confirmed_by text CHECK (confirmed_by ~ '^person:[A-Za-z0-9_.-]{1,63}$'),
  ADD COLUMN base_due_at timestamptz,
  ADD CONSTRAINT confirmed_by_another_person CHECK (confirmed_by <> decided_by),
  -- Decided while the first term ran; whether it counts, its notice decides (dsrd.extension).
  ADD CONSTRAINT extended_while_the_term_ran CHECK (
    CASE kind WHEN 'extension' THEN base_due_at IS NOT NULL AND decided_at < base_due_at ELSE base_due_at IS NULL END),
  DROP CONSTRAINT decision_kind_check,
  ADD CONSTRAINT decision_kind_check CHECK (
    kind IN ('choice', 'refusal', 'answer', 'acceptance', 'extension', 'clarification')) NOT VALID,
  DROP CONSTRAINT who_has_facts,
  ADD CONSTRAINT who_has_facts CHECK (
    kind IN ('refusal', 'answer', 'extension', 'clarification') OR sealed_facts IS NULL) NOT VALID,
  DROP CONSTRAINT decided_for_a_reason,
  ADD CONSTRAINT decided_for_a_reason CHECK (
    CASE kind
      WHEN 'choice' THEN reason IN ('told_by_person', 'details_match', 'identity_checked')
      WHEN 'answer' THEN reason IN ('fulfilled', 'partly_fulfilled', 'fulfilled_no_data')
      WHEN 'acceptance' THEN reason IN ('authority_checked', 'confirmed_by_person')
      WHEN 'extension' THEN reason IN ('complexity', 'number_of_requests')
      WHEN 'clarification' THEN reason IN ('much_data', 'unclear')
      ELSE reason ~ '^RF-(0[1-9]|1[0-7])$'
    END) NOT VALID;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decision_kind_check;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT who_has_facts;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decided_for_a_reason;
CREATE UNIQUE INDEX decision_one_extension ON dsrd.decision (organisation_id, request_id) WHERE kind = 'extension';
CREATE UNIQUE INDEX decision_one_clarification ON dsrd.decision (organisation_id, request_id) WHERE kind = 'clarification';
COMMENT ON COLUMN dsrd.decision.kind IS 'choice: which contact is meant; refusal: the request, or what is left of it, is not followed; answer: how a person carried it out; acceptance: whoever asks may do so; extension: more time is needed; clarification: the person is asked what they mean.';
COMMENT ON COLUMN dsrd.decision.reason IS 'A choice: how the person was recognised. A refusal: the ground, RF-01 to RF-17. An answer: the outcome. An acceptance: what was checked. An extension, a clarification: why.';
COMMENT ON COLUMN dsrd.decision.decided_by IS 'Who decided, or proposed it where two persons decide: person:<login>.';
COMMENT ON COLUMN dsrd.decision.confirmed_by IS 'The second person, where two decide.';
COMMENT ON COLUMN dsrd.decision.base_due_at IS 'For an extension: the end of the first term. The person must have been told before it.';

-- Which decisions need two persons; written at start from the configuration, so that no door can be left open.
ALTER TABLE dsrd.organisation ADD COLUMN two_persons text[] NOT NULL DEFAULT '{}'
  CHECK (two_persons <@ ARRAY['refusal', 'extension', 'answer', 'acceptance']);
COMMENT ON COLUMN dsrd.organisation.two_persons IS 'Kinds of decision that a second person must confirm.';

CREATE FUNCTION dsrd.two_persons_decide() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.confirmed_by IS NULL AND EXISTS (SELECT FROM dsrd.organisation
                                          WHERE organisation.organisation_id = NEW.organisation_id
                                            AND NEW.kind = ANY (organisation.two_persons)) THEN
    RAISE EXCEPTION 'a % needs a second person', NEW.kind USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER decision_by_two BEFORE INSERT ON dsrd.decision
  FOR EACH ROW EXECUTE FUNCTION dsrd.two_persons_decide();

-- What the first of two persons proposes.
CREATE TABLE dsrd.proposal (
  organisation_id text NOT NULL,
  proposal_id uuid NOT NULL,
  request_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('refusal', 'extension', 'answer', 'acceptance')),
  reason text NOT NULL,
  sealed_facts bytea,
  proposed_by text NOT NULL CHECK (proposed_by ~ '^person:[A-Za-z0-9_.-]{1,63}$'),
  proposed_at timestamptz NOT NULL,
  ended_as text CHECK (ended_as IN ('confirmed', 'dropped')),
  ended_by text CHECK (ended_by ~ '^person:[A-Za-z0-9_.-]{1,63}$'),
  ended_at timestamptz,
  PRIMARY KEY (organisation_id, proposal_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  CONSTRAINT ended_by_somebody CHECK (
    (ended_as IS NULL) = (ended_by IS NULL) AND (ended_as IS NULL) = (ended_at IS NULL)),
  CONSTRAINT confirmed_by_another_person CHECK (ended_as IS DISTINCT FROM 'confirmed' OR ended_by <> proposed_by)
);
CREATE UNIQUE INDEX proposal_one_open ON dsrd.proposal (organisation_id, request_id) WHERE ended_as IS NULL;
COMMENT ON TABLE dsrd.proposal IS 'Decisions that wait for a second person, and what became of them. A confirmed one is a row of dsrd.decision with the same id.';
COMMENT ON COLUMN dsrd.proposal.sealed_facts IS 'As of dsrd.decision, encrypted for the row of the decision that it becomes.';

CREATE FUNCTION dsrd.keep_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.ended_as IS NOT NULL AND (NEW.ended_as, NEW.ended_by, NEW.ended_at) IS DISTINCT FROM (OLD.ended_as, OLD.ended_by, OLD.ended_at)
     OR (NEW.organisation_id, NEW.proposal_id, NEW.request_id, NEW.kind, NEW.reason, NEW.proposed_by, NEW.proposed_at)
        IS DISTINCT FROM (OLD.organisation_id, OLD.proposal_id, OLD.request_id, OLD.kind, OLD.reason, OLD.proposed_by, OLD.proposed_at)
     OR (NEW.sealed_facts IS DISTINCT FROM OLD.sealed_facts AND NEW.sealed_facts IS NOT NULL) THEN
    RAISE EXCEPTION 'a proposal is never changed, it ends once' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER proposal_stays BEFORE UPDATE ON dsrd.proposal
  FOR EACH ROW EXECUTE FUNCTION dsrd.keep_proposal();
GRANT SELECT, INSERT, UPDATE (ended_as, ended_by, ended_at, sealed_facts), DELETE ON dsrd.proposal TO dsrd_service;

-- An extension that counts: the person was told before the first term ended. One a request (I-4).
CREATE TABLE dsrd.extension (
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  decision_id uuid NOT NULL,
  notice_id uuid NOT NULL,
  base_due_at timestamptz NOT NULL,
  notified_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, request_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  CONSTRAINT told_in_time CHECK (notified_at < base_due_at)
);
COMMENT ON TABLE dsrd.extension IS 'Extensions that count: decided by a person, and told before the end of the first term. Never changed.';
COMMENT ON COLUMN dsrd.extension.notified_at IS 'When the mail server took the notice of the extension.';

CREATE FUNCTION dsrd.extension_was_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.decision
                 WHERE decision.organisation_id = NEW.organisation_id AND decision.decision_id = NEW.decision_id
                   AND decision.request_id = NEW.request_id AND decision.kind = 'extension'
                   AND decision.base_due_at = NEW.base_due_at)
     OR NOT EXISTS (SELECT FROM dsrd.notice
                    WHERE notice.organisation_id = NEW.organisation_id AND notice.notice_id = NEW.notice_id
                      AND notice.request_id = NEW.request_id AND notice.kind = 'extension'
                      AND notice.state = 'sent' AND notice.sent_at = NEW.notified_at) THEN
    RAISE EXCEPTION 'an extension counts by the decision of a person and its notice in time only'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER extension_told BEFORE INSERT ON dsrd.extension
  FOR EACH ROW EXECUTE FUNCTION dsrd.extension_was_told();

-- Times of waiting for the person that are over (I-5): what was waited for, the day of asking, the day of the answer.
CREATE TABLE dsrd.pause (
  organisation_id text NOT NULL,
  pause_id uuid NOT NULL,
  request_id uuid NOT NULL,
  cause text NOT NULL CHECK (cause IN ('identity', 'clarification', 'fee')),
  notice_id uuid NOT NULL,
  asked_at timestamptz NOT NULL,
  answered_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, pause_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  CONSTRAINT answered_after_asking CHECK (answered_at >= asked_at)
);
CREATE INDEX pause_request ON dsrd.pause (organisation_id, request_id);
COMMENT ON TABLE dsrd.pause IS 'Times of waiting for the person, each with its cause and the notice that asked. What they do to the dates, the regime says. Never changed.';

CREATE FUNCTION dsrd.pause_was_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.notice
                 WHERE notice.organisation_id = NEW.organisation_id AND notice.notice_id = NEW.notice_id
                   AND notice.request_id = NEW.request_id AND notice.state = 'sent' AND notice.sent_at = NEW.asked_at
                   AND notice.kind = CASE NEW.cause WHEN 'identity' THEN 'identity_request'
                                                    WHEN 'clarification' THEN 'clarification_request'
                                                    ELSE 'fee' END) THEN
    RAISE EXCEPTION 'time stands still only after the person was asked' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER pause_asked BEFORE INSERT ON dsrd.pause
  FOR EACH ROW EXECUTE FUNCTION dsrd.pause_was_asked();
GRANT SELECT, INSERT, DELETE ON dsrd.extension, dsrd.pause TO dsrd_service;

-- I-6: a date moves by an event that is on record, never by hand.
CREATE FUNCTION dsrd.dates_follow_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.extension
                 WHERE extension.organisation_id = NEW.organisation_id AND extension.request_id = NEW.request_id)
     AND NOT EXISTS (SELECT FROM dsrd.pause
                     WHERE pause.organisation_id = NEW.organisation_id AND pause.request_id = NEW.request_id) THEN
    RAISE EXCEPTION 'due dates follow from events and are never edited' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER request_dates_follow_events BEFORE UPDATE ON dsrd.request
  FOR EACH ROW
  WHEN ((OLD.due_on, OLD.statutory_due_on, OLD.received_at) IS DISTINCT FROM
        (NEW.due_on, NEW.statutory_due_on, NEW.received_at))
  EXECUTE FUNCTION dsrd.dates_follow_events();
