-- R-20, Article 21(3): an opt-out is carried out at once. A person may be asked what they mean only where it waits already.
CREATE FUNCTION dsrd.opt_out_is_not_delayed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'an opt-out waits for no answer: request % is not set aside', NEW.request_id
    USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER request_opt_out_is_not_delayed BEFORE UPDATE OF state ON dsrd.request
  FOR EACH ROW
  WHEN (NEW.state = 'needs_clarification' AND OLD.state NOT IN ('manual', 'needs_clarification')
        AND NEW.kind IN ('opt_out', 'consent_withdrawal', 'ccpa_opt_out'))
  EXECUTE FUNCTION dsrd.opt_out_is_not_delayed();
