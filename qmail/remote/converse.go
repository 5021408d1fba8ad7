package remote

// converse hands over the message in a session that has just begun, and takes
// leave.
func (d *Delivery) converse(s *Session, r *report) *result {
	res := d.hello(s, r)
	if res == nil {
		res = d.envelope(s, r)
	}
	if res == nil {
		res = d.text(s, r)
	}
	// The result stands: a host that has hung up since is no reason to send
	// again what it took, nor to doubt what it refused.
	_ = s.Quit()
	return res
}

// hello begins the session. Like envelope, it returns a result if the delivery
// ends here.
func (d *Delivery) hello(s *Session, r *report) *result {
	reply, err := s.Greeting()
	if err != nil {
		return r.died()
	}
	if reply.Code != 220 {
		return r.said('Z', "Connected to ", " but greeting failed", reply)
	}
	reply, err = s.Hello(d.Config.HeloHost)
	if err != nil {
		return r.died()
	}
	if reply.Code != 250 {
		return r.said('Z', "Connected to ", " but my name was rejected", reply)
	}
	return nil
}

// envelope names sender and recipients, one by one.
func (d *Delivery) envelope(s *Session, r *report) *result {
	reply, err := s.Mail(d.Sender)
	if err != nil {
		return r.died()
	}
	if letter := reply.refusal(); letter != 0 {
		return r.said(letter, "Connected to ", " but sender was rejected", reply)
	}
	anybody := false
	for _, recipient := range d.Recipients {
		reply, err := s.Rcpt(recipient)
		if err != nil {
			return r.died()
		}
		anybody = r.recipient(reply) || anybody
	}
	if !anybody {
		return r.givingUp()
	}
	return nil
}

// text sends the message.
func (d *Delivery) text(s *Session, r *report) *result {
	reply, err := s.Data()
	if err != nil {
		return r.died()
	}
	if letter := reply.refusal(); letter != 0 {
		return r.said(letter, "", " failed on DATA command", reply)
	}
	switch err := s.Text(d.Message); err {
	case nil:
	case errPartialLine:
		return resPartialLine
	case errMessage:
		return resMessage
	default:
		return r.died()
	}
	reply, err = s.Dot()
	if err != nil {
		return r.doubtful()
	}
	if letter := reply.refusal(); letter != 0 {
		return r.said(letter, "", " failed after I sent the message", reply)
	}
	return r.said('K', "", " accepted message", reply)
}
