-- All words that the law knows for what is asked, where a case stands, how it ends and what people are told
-- (src/domain/request.rs, src/delivery/notice.rs). What may follow what stands in the migrations after this one.

ALTER TABLE dsrd.request
  DROP CONSTRAINT request_kind_check,
  ADD CONSTRAINT request_kind_check CHECK (
    kind IN ('access', 'erasure', 'opt_out', 'rectification', 'restriction', 'portability', 'objection',
             'consent_withdrawal', 'automated_decision', 'complaint', 'ccpa_opt_out', 'other')) NOT VALID,
  DROP CONSTRAINT request_state_check,
  ADD CONSTRAINT request_state_check CHECK (
    state IN ('received', 'in_progress', 'needs_identity', 'needs_clarification', 'manual', 'closed')) NOT VALID,
  DROP CONSTRAINT request_outcome_check,
  ADD CONSTRAINT request_outcome_check CHECK (
    outcome IN ('fulfilled', 'fulfilled_no_data', 'partly_fulfilled', 'refused', 'not_identified', 'withdrawn',
                'out_of_scope', 'superseded')) NOT VALID;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT request_kind_check;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT request_state_check;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT request_outcome_check;

ALTER TABLE dsrd.notice
  DROP CONSTRAINT notice_kind_check,
  ADD CONSTRAINT notice_kind_check CHECK (
    kind IN ('acknowledgement', 'identity_request', 'clarification_request', 'extension', 'partial_answer', 'fee',
             'not_identified', 'refused', 'access_ready', 'no_data', 'erasure_done', 'erasure_partly_done',
             'restriction_set', 'restriction_lifting', 'opt_out_done', 'rectification_done', 'withdrawn',
             'recipient_notice', 'breach_notice', 'complaint_received', 'answered')) NOT VALID;
ALTER TABLE dsrd.notice VALIDATE CONSTRAINT notice_kind_check;
