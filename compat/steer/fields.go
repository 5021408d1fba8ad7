package steer

import "github.com/reqmail/reqmail/compat/jsonl"

// What follows says again what the tags say; a test holds them together.

// Fields names the fields on the wire.
func (r *Request) Fields(f *jsonl.Fields) {
	jsonl.String(f, "verb", &r.Verb, jsonl.Always)
	jsonl.Pointer(f, "query", &r.Query)
	jsonl.Pointer(f, "name", &r.Name)
	jsonl.Pointer(f, "act", &r.Act)
	jsonl.Pointer(f, "rule", &r.Rule)
	jsonl.Bool(f, "dryRun", &r.DryRun, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (a *Answer) Fields(f *jsonl.Fields) {
	jsonl.Pointer(f, "message", &a.Message)
	jsonl.Pointer(f, "delivery", &a.Delivery)
	jsonl.Pointer(f, "rule", &a.Rule)
	jsonl.Bool(f, "done", &a.Done, jsonl.IfSet)
	jsonl.String(f, "error", &a.Error, jsonl.IfSet)
	jsonl.Pointer(f, "status", &a.Status)
	jsonl.Pointer(f, "result", &a.Result)
	jsonl.Int(f, "total", &a.Total, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (q *Query) Fields(f *jsonl.Fields) {
	jsonl.Struct(f, "filter", &q.Filter)
	jsonl.String(f, "sort", &q.Sort, jsonl.IfSet)
	jsonl.Int(f, "limit", &q.Limit, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (a *Act) Fields(f *jsonl.Fields) {
	jsonl.String(f, "verb", &a.Verb, jsonl.Always)
	jsonl.Structs(f, "names", &a.Names)
	jsonl.Pointer(f, "filter", &a.Filter)
	jsonl.Bool(f, "dryRun", &a.DryRun, jsonl.IfSet)
	jsonl.Int(f, "until", &a.Until, jsonl.IfSet)
	jsonl.String(f, "reason", &a.Reason, jsonl.IfSet)
	jsonl.Bool(f, "bounce", &a.Bounce, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (r *Result) Fields(f *jsonl.Fields) {
	jsonl.Int(f, "touched", &r.Touched, jsonl.Always)
	jsonl.Int(f, "failed", &r.Failed, jsonl.IfSet)
	jsonl.Structs(f, "failures", &r.Failures)
	jsonl.Int(f, "rule", &r.Rule, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (f *Failure) Fields(to *jsonl.Fields) {
	f.Name.Fields(to)
	jsonl.String(to, "reason", &f.Reason, jsonl.Always)
}

// Fields names the fields on the wire.
func (r *Rule) Fields(f *jsonl.Fields) {
	jsonl.Int(f, "number", &r.Number, jsonl.IfSet)
	jsonl.String(f, "verb", &r.Verb, jsonl.Always)
	jsonl.String(f, "destination", &r.Destination, jsonl.IfSet)
	jsonl.String(f, "senderDomain", &r.SenderDomain, jsonl.IfSet)
	jsonl.String(f, "channel", &r.Channel, jsonl.IfSet)
	jsonl.Int(f, "since", &r.Since, jsonl.IfSet)
	jsonl.Int(f, "until", &r.Until, jsonl.IfSet)
	jsonl.String(f, "reason", &r.Reason, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (s *Status) Fields(f *jsonl.Fields) {
	jsonl.Int(f, "now", &s.Now, jsonl.Always)
	jsonl.Bool(f, "leaving", &s.Leaving, jsonl.IfSet)
	jsonl.Bool(f, "takingIn", &s.TakingIn, jsonl.IfSet)
	jsonl.Int(f, "messages", &s.Messages, jsonl.Always)
	jsonl.Int(f, "bytes", &s.Bytes, jsonl.Always)
	jsonl.Int(f, "unsized", &s.Unsized, jsonl.IfSet)
	jsonl.Int(f, "todo", &s.Todo, jsonl.Always)
	jsonl.Int(f, "held", &s.Held, jsonl.Always)
	jsonl.Int(f, "frozen", &s.Frozen, jsonl.Always)
	jsonl.Pointer(f, "oldest", &s.Oldest)
	jsonl.Struct(f, "local", &s.Local)
	jsonl.Struct(f, "remote", &s.Remote)
	jsonl.Int(f, "nextWake", &s.NextWake, jsonl.Always)
	jsonl.Struct(f, "minute", &s.Minute)
	jsonl.Struct(f, "hour", &s.Hour)
}

// Fields names the fields on the wire.
func (c *ChannelStatus) Fields(f *jsonl.Fields) {
	jsonl.Int(f, "messages", &c.Messages, jsonl.Always)
	jsonl.Int(f, "running", &c.Running, jsonl.Always)
	jsonl.Int(f, "allowed", &c.Allowed, jsonl.Always)
	jsonl.Bool(f, "suspended", &c.Suspended, jsonl.IfSet)
	jsonl.Int(f, "nextTry", &c.NextTry, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (r *Rates) Fields(f *jsonl.Fields) {
	jsonl.Int(f, "arrived", &r.Arrived, jsonl.Always)
	jsonl.Int(f, "ended", &r.Ended, jsonl.Always)
	jsonl.Int(f, "delivered", &r.Delivered, jsonl.Always)
	jsonl.Int(f, "deferred", &r.Deferred, jsonl.Always)
	jsonl.Int(f, "failed", &r.Failed, jsonl.Always)
}

// Fields names the fields on the wire.
func (d *Delivery) Fields(f *jsonl.Fields) {
	d.Name.Fields(f)
	jsonl.Uint(f, "number", &d.Number, jsonl.Always)
	jsonl.String(f, "channel", &d.Channel, jsonl.Always)
	jsonl.Int(f, "size", &d.Size, jsonl.Always)
	jsonl.String(f, "sender", &d.Sender, jsonl.Always)
	jsonl.String(f, "recipient", &d.Recipient, jsonl.Always)
	jsonl.Int(f, "since", &d.Since, jsonl.Always)
	jsonl.String(f, "phase", &d.Phase, jsonl.Always)
	jsonl.String(f, "host", &d.Host, jsonl.IfSet)
	jsonl.Int(f, "sent", &d.Sent, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (f *Filter) Fields(to *jsonl.Fields) {
	jsonl.Uints(to, "ids", &f.IDs)
	jsonl.String(to, "sender", &f.Sender, jsonl.IfSet)
	jsonl.String(to, "recipient", &f.Recipient, jsonl.IfSet)
	jsonl.String(to, "domain", &f.Domain, jsonl.IfSet)
	jsonl.String(to, "status", &f.Status, jsonl.IfSet)
	jsonl.String(to, "channel", &f.Channel, jsonl.IfSet)
	jsonl.Strings(to, "states", &f.States)
	jsonl.String(to, "area", &f.Area, jsonl.IfSet)
	jsonl.Strings(to, "concerns", &f.Concerns)
	jsonl.Int(to, "minAge", &f.MinAge, jsonl.IfSet)
	jsonl.IntPointer(to, "maxAge", &f.MaxAge)
	jsonl.Int(to, "minSize", &f.MinSize, jsonl.IfSet)
	jsonl.IntPointer(to, "maxSize", &f.MaxSize)
	jsonl.Int(to, "minTries", &f.MinTries, jsonl.IfSet)
	jsonl.IntPointer(to, "maxTries", &f.MaxTries)
}

// Fields names the fields on the wire.
func (n *Name) Fields(f *jsonl.Fields) {
	jsonl.Uint(f, "id", &n.ID, jsonl.Always)
	jsonl.Int(f, "birth", &n.Birth, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (m *Message) Fields(f *jsonl.Fields) {
	m.Name.Fields(f)
	jsonl.String(f, "state", &m.State, jsonl.Always)
	jsonl.Int(f, "size", &m.Size, jsonl.Always)
	jsonl.String(f, "sender", &m.Sender, jsonl.Always)
	jsonl.Structs(f, "recipients", &m.Recipients)
	jsonl.Int(f, "count", &m.Count, jsonl.Always)
	jsonl.Int(f, "left", &m.Left, jsonl.Always)
	jsonl.String(f, "trouble", &m.Trouble, jsonl.IfSet)
	jsonl.Int(f, "tries", &m.Tries, jsonl.Always)
	jsonl.Int(f, "nextTry", &m.NextTry, jsonl.IfSet)
	jsonl.Int(f, "local", &m.Local, jsonl.IfSet)
	jsonl.Int(f, "remote", &m.Remote, jsonl.IfSet)
	jsonl.String(f, "reason", &m.Reason, jsonl.IfSet)
	jsonl.Pointer(f, "hold", &m.Hold)
	jsonl.Int(f, "notBefore", &m.NotBefore, jsonl.IfSet)
	jsonl.Int(f, "expireAt", &m.ExpireAt, jsonl.IfSet)
	jsonl.Int(f, "rule", &m.Rule, jsonl.IfSet)
	jsonl.String(f, "area", &m.Area, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (h *HoldOrder) Fields(f *jsonl.Fields) {
	jsonl.Int(f, "since", &h.Since, jsonl.Always)
	jsonl.Int(f, "until", &h.Until, jsonl.IfSet)
	jsonl.String(f, "reason", &h.Reason, jsonl.IfSet)
}

// Fields names the fields on the wire.
func (r *Recipient) Fields(f *jsonl.Fields) {
	jsonl.String(f, "address", &r.Address, jsonl.Always)
	jsonl.String(f, "channel", &r.Channel, jsonl.Always)
	jsonl.Bool(f, "done", &r.Done, jsonl.IfSet)
	jsonl.String(f, "reason", &r.Reason, jsonl.IfSet)
	jsonl.Int(f, "at", &r.At, jsonl.IfSet)
}
