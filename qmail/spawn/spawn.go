// Package spawn is the serving side of the protocol between qmail-send and
// its spawners: it takes commands, opens messages, collects what deliveries
// print, and reports how they end. What a delivery runs, and what its end
// means, is its users' business (lspawn, rspawn).
package spawn

import (
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
	Local     string  // the recipient before its last "@" …
	Domain    string  // … and after it
	Message   fdio.FD // at its beginning
	Output    fdio.FD // what is written here ends up in the report

	// Progress tells qmail-send how far the delivery has come: its phase (one
	// of compat/steer's), its server or program, and bytes sent of a total,
	// each where known. It costs next to nothing, may be called as often as
	// there is news and from any goroutine, and does nothing once the delivery
	// has ended.
	Progress func(phase, host string, sent, total int64)
}

// Worker carries out deliveries.
type Worker interface {
	// Run carries out a delivery and returns when its process has ended.
	// It is called from many goroutines.
	Run(d Delivery) End

	// Report says what the end of a delivery and its output mean.
	Report(end End, output []byte) (status byte, text []byte)
}

// End is how a delivery's process ended.
type End struct {
	Code    int  // exit status
	Crashed bool // killed by a signal
	NoFork  bool // there was no process
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
	Slots      int    // deliveries at a time, at most 255
	QueueOwner uint32 // uid that messages must belong to
	MaxOutput  int    // bytes kept of a delivery's output
	TooMuch    string // put in place of what exceeds that; see collect
	Worker     Worker

	running sync.WaitGroup
	mu      sync.Mutex
	busy    [256]bool
	reports fdio.FD
	broken  bool // nobody reads the reports any more
}

// Serve sends the greeting and serves commands until their end, then waits
// for what still runs. A reader of reports that went away does not end it.
func (s *Server) Serve(commands, reports fdio.FD) {
	s.reports = reports
	s.write([]byte{byte(s.Slots)})
	var parser wire.CommandParser
	buf := make([]byte, 4096)
	for {
		n, err := commands.Read(buf)
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
	if int(c.Slot) >= s.Slots {
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
	r, w, err := fdio.Pipe()
	if err != nil {
		d.Message.Close()
		s.release(c.Slot)
		s.report(c.Slot, 'Z', cannotPipe)
		return
	}
	d.Output = w
	s.running.Add(1)
	go s.deliver(c.Slot, d, r)
}

func (s *Server) claim(slot byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[slot] {
		return false
	}
	s.busy[slot] = true
	return true
}

func (s *Server) release(slot byte) {
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

// deliver runs a delivery and reports its end: when its process is dead and
// nobody can write output any more.
func (s *Server) deliver(slot byte, d Delivery, r fdio.FD) {
	defer s.running.Done()
	ended := make(chan End, 1)
	go func() {
		end := s.Worker.Run(d)
		d.Message.Close()
		d.Output.Close()
		ended <- end
	}()
	output := s.collect(r)
	end := <-ended
	status, text := byte('Z'), []byte(cannotFork)
	if !end.NoFork {
		status, text = s.Worker.Report(end, output)
	}
	s.release(slot)
	s.report(slot, status, string(text))
}

// collect reads output to its end and keeps MaxOutput bytes. Where there was
// more, TooMuch stands behind what is left, and later output may follow it as
// far as there is room, as in C.
func (s *Server) collect(r fdio.FD) []byte {
	f := fdio.Pollable(r, "output")
	defer f.Close()
	var kept []byte
	var buf [128]byte
	for {
		n, err := f.Read(buf[:])
		kept = append(kept, buf[:n]...)
		if len(kept) > s.MaxOutput {
			kept = append(kept[:s.MaxOutput-len(s.TooMuch)-margin], s.TooMuch...)
		}
		if err != nil {
			return kept
		}
	}
}

// margin is room in a cut report, in bytes.
const margin = 3

func (s *Server) report(slot, status byte, text string) {
	s.write(wire.Report{Slot: slot, Status: status, Text: []byte(text)}.Append(nil))
}

// write writes a whole report; the first failure is the last write.
func (s *Server) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return
	}
	if _, err := s.reports.Write(p); err != nil {
		s.broken = true
		s.reports.Close()
	}
}
