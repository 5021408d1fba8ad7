package remote

// most is how many commands are under way at a time where a host takes several
// (RFC 2920 3.1). Their answers must find room on the way while we still
// write.
const most = 50

// flight is commands of which the answers are read one by one. Where the host
// does not offer PIPELINING only one is under way.
type flight struct {
	s        *Session
	commands []string // not yet sent
	awaited  int      // answers under way
	data     bool     // the last of them is DATA's
}

// next returns the answer to the next command.
func (f *flight) next() (Reply, error) {
	if f.awaited == 0 {
		if err := f.send(); err != nil {
			return Reply{}, err
		}
	}
	f.awaited--
	return f.s.reply()
}

func (f *flight) send() error {
	f.awaited = 1
	if _, ok := f.s.Extension("PIPELINING"); ok {
		f.awaited = min(most, len(f.commands))
	}
	for _, command := range f.commands[:f.awaited] {
		if err := f.s.put(command); err != nil {
			return err
		}
	}
	f.commands = f.commands[f.awaited:]
	f.data = len(f.commands) == 0
	return f.s.flush()
}

// land reads the answers that are under way. Should the host want a message
// that is not to be sent it gets an empty one, for nobody (RFC 2920 3.1).
func (f *flight) land() {
	for f.awaited > 0 && !f.s.over {
		reply, err := f.next()
		if err == nil && f.awaited == 0 && f.data && reply.refusal() == 0 {
			_, _ = f.s.Dot()
		}
	}
}
