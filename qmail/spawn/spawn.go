// Package spawn is the serving side of the protocol between qmail-send and
// its spawners: it takes commands, opens messages, collects what deliveries
// print, and reports how they end. What a delivery runs, and what its end
// means, is its users' business (lspawn, rspawn).
package spawn

import (
	"io"
	"runtime"
	"sync"
	"syscall"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/wire"
)

// Delivery is one recipient of one message.
type Delivery struct {
	Sender    string
	Recipient string
	Local     string    // the recipient before its last "@" …
	Domain    string    // … and after it
	Message   fdio.FD   // at its beginning
	Output    io.Writer // what is written here ends up in the report

	// Progress tells qmail-send how far the delivery has come: its phase (one
	// of compat/wire's), its server or program, and bytes sent of a total,
	// each where known. It costs next to nothing, may be called as often as
	// there is news and from any goroutine, and does nothing once the delivery
	// has ended.
	Progress func(phase, host string, sent, total int64)
}

// Worker carries out deliveries.
type Worker interface {
	// Run carries out a delivery and returns when its process has ended and
	// nobody can write output any more. It is called from many goroutines.
	Run(d Delivery) End

	// Report says what the end of a delivery and its output mean.
	Report(end End, output []byte) (status byte, text []byte)
}

// End is how a delivery's process ended.
type End struct {
	Code    int  // exit status
	Crashed bool // killed by a signal
	NoPipe  bool // there was no pipe for its output, …
	NoFork  bool // … or no process
}

// Texts that a spawner itself has for deliveries (qmail-send's protocol).
const (
	tooBig      = "Internal error: delnum too big. (#4.3.5)\n"
	inUse       = "Internal error: delnum in use. (#4.3.5)\n"
	nonNumeric  = "Internal error: messid has nonnumerics. (#5.3.5)\n"
	tooLong     = "Internal error: messid too long. (#5.3.5)\n"
	tooShort    = "Internal error: messid too short. (#5.3.5)\n"
	noHost      = "Sorry, address must include host name. (#5.1.3)\n"
	cannotOpen  = "qmail-spawn unable to open message. (#4.3.0)\n"
	cannotStat  = "qmail-spawn unable to fstat message. (#4.3.0)\n"
	wrongType   = "Sorry, message has wrong type. (#4.3.5)\n"
	wrongOwner  = "Sorry, message has wrong owner. (#4.3.5)\n"
	cannotPipe  = "qmail-spawn unable to create pipe. (#4.3.0)\n"
	cannotFork  = "qmail-spawn unable to fork. (#4.3.0)\n"
	maxMessName = 99 // bytes
)

// Server is a running spawner. Its working directory is queue/mess.
type Server struct {
	Slots      int    // deliveries at a time, at most wire.MaxSlots
	QueueOwner uint32 // uid that messages must belong to
	MaxOutput  int    // bytes kept of a delivery's output
	TooMuch    string // put in place of what exceeds that; see Output
	Worker     Worker

	running sync.WaitGroup
	mu      sync.Mutex
	busy    []bool
	reports fdio.FD
	unsent  []byte                 // reports that somebody is about to write
	broken  bool                   // nobody reads the reports any more
	wanted  bool                   // by qmail-send: how deliveries get on
	news    map[*follower]struct{} // not told yet
	telling bool                   // a timer runs
}

// Serve sends the greeting and serves commands until their end, then waits
// for what still runs. A reader of reports that went away does not end it.
func (s *Server) Serve(commands, reports fdio.FD) {
	s.reports = reports
	s.busy = make([]bool, s.Slots)
	s.news = map[*follower]struct{}{}
	s.unsent = []byte{byte(min(s.Slots, wire.MaxNarrowSlots))}
	s.flush()
	in := fdio.Waiting(commands)
	var parser wire.CommandParser
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		if err != nil {
			break
		}
		parser.Add(buf[:n])
		for {
			c, ok := parser.Next()
			if !ok {
				break
			}
			s.begin(c)
		}
	}
	s.running.Wait()
}

// begin starts a delivery or reports why not.
func (s *Server) begin(c wire.Command) {
	if c == wire.Probe() {
		s.answerProbe()
		return
	}
	if c.Slot == wire.NoSlot || c.Slot >= s.Slots {
		s.report(c.Slot, 'Z', tooBig)
		return
	}
	if !s.claim(c.Slot) {
		s.report(c.Slot, 'Z', inUse)
		return
	}
	d, status, trouble := s.open(c)
	if trouble != "" {
		s.release(c.Slot)
		s.report(c.Slot, status, trouble)
		return
	}
	s.running.Add(1)
	go s.deliver(c.Slot, d)
}

func (s *Server) claim(slot int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[slot] {
		return false
	}
	s.busy[slot] = true
	return true
}

func (s *Server) release(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[slot] = false
}

// open checks a command and opens its message, or returns status and text of
// a report.
func (s *Server) open(c wire.Command) (d Delivery, status byte, trouble string) {
	for i := range len(c.Mess) {
		if ch := c.Mess[i]; (ch < '0' || ch > '9') && (ch != '/' || i == 0) {
			return d, 'D', nonNumeric
		}
	}
	if len(c.Mess) > maxMessName {
		return d, 'D', tooLong
	}
	if c.Mess == "" {
		return d, 'D', tooShort
	}
	local, domain, ok := address.Split(c.Recipient)
	if !ok {
		return d, 'D', noHost
	}
	f, err := fdio.Open(c.Mess, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return d, 'Z', cannotOpen
	}
	st, err := f.Stat()
	switch {
	case err != nil:
		trouble = cannotStat
	case st.Mode&syscall.S_IFMT != syscall.S_IFREG:
		trouble = wrongType
	case st.Uid != s.QueueOwner:
		trouble = wrongOwner
	}
	if trouble != "" {
		f.Close()
		return d, 'Z', trouble
	}
	return Delivery{Sender: c.Sender, Recipient: c.Recipient, Local: local, Domain: domain, Message: f}, 0, ""
}

// deliver runs a delivery and reports its end.
func (s *Server) deliver(slot int, d Delivery) {
	defer s.running.Done()
	f, output := s.follow(slot), Output{most: s.MaxOutput, tooMuch: s.TooMuch}
	d.Progress, d.Output = f.note, &output
	end := s.Worker.Run(d)
	d.Message.Close()
	status, text := byte('Z'), []byte(nil)
	switch {
	case end.NoPipe:
		text = []byte(cannotPipe)
	case end.NoFork:
		text = []byte(cannotFork)
	default:
		status, text = s.Worker.Report(end, output.kept)
	}
	f.end()
	s.release(slot)
	s.report(slot, status, string(text))
}

func (s *Server) report(slot int, status byte, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waits := len(s.unsent) > 0
	s.unsent = wire.Report{Slot: slot, Status: status, Text: []byte(text)}.Append(s.unsent)
	if waits {
		return
	}
	// Deliveries that end at the same time are told of at once.
	s.mu.Unlock()
	runtime.Gosched()
	s.mu.Lock()
	s.flush()
}

// flush writes what is to be sent; the first failure is the last write.
func (s *Server) flush() {
	if !s.broken {
		if _, err := fdio.Prompt(s.reports).Write(s.unsent); err != nil {
			s.broken = true
			s.reports.Close()
		}
	}
	s.unsent = s.unsent[:0]
}
