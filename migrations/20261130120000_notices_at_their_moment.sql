-- Every notice that the law knows has a moment at which it is sent (N-5, N-6, N-13, N-18): the decisions behind them, and a
-- restriction that ends only after the person was told (Art. 18(3) GDPR).

ALTER TABLE dsrd.decision
  DROP CONSTRAINT decision_kind_check,
  ADD CONSTRAINT decision_kind_check CHECK (
    kind IN ('choice', 'refusal', 'answer', 'acceptance', 'extension', 'clarification', 'fee', 'partial_answer',
             'breach_notice', 'restriction_end')) NOT VALID,
  DROP CONSTRAINT who_has_facts,
  ADD CONSTRAINT who_has_facts CHECK (
    kind IN ('refusal', 'answer', 'extension', 'clarification', 'fee', 'partial_answer', 'breach_notice',
             'restriction_end') OR sealed_facts IS NULL) NOT VALID,
  DROP CONSTRAINT decided_for_a_reason,
  ADD CONSTRAINT decided_for_a_reason CHECK (
    CASE kind
      WHEN 'choice' THEN reason IN ('told_by_person', 'details_match', 'identity_checked')
      WHEN 'answer' THEN reason IN ('fulfilled', 'partly_fulfilled', 'fulfilled_no_data')
      WHEN 'acceptance' THEN reason IN ('authority_checked', 'confirmed_by_person')
      WHEN 'extension' THEN reason IN ('complexity', 'number_of_requests')
      WHEN 'clarification' THEN reason IN ('much_data', 'unclear')
      WHEN 'fee' THEN reason IN ('RF-01', 'RF-02')
      WHEN 'partial_answer' THEN reason = 'part_is_ready'
      WHEN 'breach_notice' THEN reason IN ('misdirected', 'disclosed', 'lost', 'altered')
      WHEN 'restriction_end' THEN reason = 'restriction_ended'
      ELSE reason ~ '^RF-(0[1-9]|1[0-7])$'
    END) NOT VALID;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decision_kind_check;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT who_has_facts;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decided_for_a_reason;
CREATE UNIQUE INDEX decision_one_fee ON dsrd.decision (organisation_id, request_id) WHERE kind = 'fee';
COMMENT ON COLUMN dsrd.decision.kind IS 'choice: which contact is meant; refusal: the request, or what is left of it, is not followed; answer: how a person carried it out; acceptance: whoever asks may do so; extension: more time is needed; clarification: the person is asked what they mean; fee: a fee is asked for; partial_answer: a part of the answer goes first; breach_notice: the person is told of a breach; restriction_end: the person is told that a restriction is going to end.';
COMMENT ON COLUMN dsrd.decision.reason IS 'A choice: how the person was recognised. A refusal, a fee: the ground, RF-01 to RF-17. An answer: the outcome. An acceptance: what was checked. An extension, a clarification: why. A breach: what happened.';

-- Of which request a hold is, where it is of one; and for a restriction when it is going to end and how the person knows.
ALTER TABLE dsrd.hold
  ADD COLUMN request_id uuid,
  ADD COLUMN lift_on date,
  ADD COLUMN lift_notice_id uuid,
  ADD COLUMN told_otherwise_at timestamptz,
  ADD COLUMN reminded_at timestamptz,
  ADD CONSTRAINT a_restriction_is_lifted CHECK (
    kind <> 'restriction' OR (ends_on IS NULL AND months_after_last IS NULL)) NOT VALID,
  ADD CONSTRAINT only_restrictions_announce_their_end CHECK (
    kind = 'restriction' OR (lift_on IS NULL AND lift_notice_id IS NULL AND told_otherwise_at IS NULL)),
  ADD CONSTRAINT announced_for_a_day CHECK (lift_notice_id IS NULL OR lift_on IS NOT NULL);
CREATE UNIQUE INDEX hold_one_restriction ON dsrd.hold (organisation_id, request_id)
  WHERE kind = 'restriction' AND ended_at IS NULL;
COMMENT ON COLUMN dsrd.hold.request_id IS 'The request by which the person was named; empty when they were named by identifiers, and once the request is past its evidence.';
COMMENT ON COLUMN dsrd.hold.lift_on IS 'For a restriction: the day on which it is going to end, as the person was told.';
COMMENT ON COLUMN dsrd.hold.lift_notice_id IS 'The notice that tells the person so.';
COMMENT ON COLUMN dsrd.hold.told_otherwise_at IS 'When a member of staff recorded that the person was told by letter, by telephone or in person.';
COMMENT ON COLUMN dsrd.hold.reminded_at IS 'When the date of review was reminded of: from then on staff is alerted until it moves on.';
GRANT UPDATE (request_id, lift_on, lift_notice_id, told_otherwise_at, reminded_at) ON dsrd.hold TO dsrd_service;

-- Art. 18(3): who obtained a restriction is told before it is lifted. Whatever the program does, the database looks.
CREATE FUNCTION dsrd.restriction_end_was_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.told_otherwise_at IS NULL
     AND NOT EXISTS (SELECT FROM dsrd.notice
                     WHERE notice.organisation_id = NEW.organisation_id AND notice.notice_id = NEW.lift_notice_id
                       AND notice.kind = 'restriction_lifting'
                       AND (notice.made_good_at IS NOT NULL OR (notice.state = 'sent' AND notice.bounced_at IS NULL))) THEN
    RAISE EXCEPTION 'a restriction ends only after the person was told' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER hold_restriction_end_told BEFORE UPDATE ON dsrd.hold
  FOR EACH ROW
  WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL AND NEW.kind = 'restriction'
        AND (NEW.end_reason <> 'mistake' OR NEW.lift_notice_id IS NOT NULL))
  EXECUTE FUNCTION dsrd.restriction_end_was_told();
