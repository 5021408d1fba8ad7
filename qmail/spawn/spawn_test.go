package spawn

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/wire"
)

// fakeWorker ends deliveries as their recipient says: "end TEXT@" prints text.
type fakeWorker struct {
	mu   sync.Mutex
	gate map[string]chan struct{} // deliveries that wait
}

func (w *fakeWorker) Run(d Delivery) End {
	w.mu.Lock()
	gate := w.gate[d.Local]
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
	switch d.Local {
	case "nofork":
		return End{NoFork: true}
	case "nopipe":
		return End{NoPipe: true}
	case "long":
		_, _ = d.Output.Write(bytes.Repeat([]byte("x"), 5000))
	default:
		text, _ := io.ReadAll(d.Message)
		_, _ = io.WriteString(d.Output, d.Sender+" "+d.Domain+" "+string(text))
	}
	return End{Code: 3}
}

func (w *fakeWorker) Report(end End, output []byte) (byte, []byte) { return 'K', output }

// talk starts a server in a directory with the message 1/1 and returns how to
// send commands, and its reports.
func talk(t *testing.T, worker Worker) (send func(wire.Command), hangUp func(), reports <-chan wire.Report) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("1", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("1/1", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	commands, cw, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	rr, out, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Slots: 3, QueueOwner: uint32(os.Getuid()), MaxOutput: 3000, TooMuch: "\nError report too long, sorry.\n", Worker: worker}
	go func() {
		s.Serve(commands, out)
		out.Close()
	}()
	ch := make(chan wire.Report, 16)
	go func() {
		defer close(ch)
		var p wire.ReportParser
		buf := make([]byte, 1)
		if _, err := rr.Read(buf); err != nil || buf[0] != 3 {
			t.Errorf("greeting %v, %v, want 3 slots", buf, err)
		}
		for {
			if _, err := rr.Read(buf); err != nil {
				return
			}
			if r, ok := p.Feed(buf[0]); ok {
				ch <- r
			}
		}
	}()
	return func(c wire.Command) { _, _ = cw.Write(c.Append(nil)) }, func() { cw.Close() }, ch
}

func next(t *testing.T, reports <-chan wire.Report) wire.Report {
	t.Helper()
	select {
	case r, ok := <-reports:
		if !ok {
			t.Fatal("the spawner ended")
		}
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("no report")
	}
	panic("unreachable")
}

func TestReports(t *testing.T) {
	send, hangUp, reports := talk(t, &fakeWorker{})
	if err := os.Mkdir("1/2", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		command wire.Command
		status  byte
		text    string
	}{
		{wire.Command{Slot: 2, Mess: "1/1", Sender: "s@x", Recipient: "a@b@c"}, 'K', "s@x c text"},
		{wire.Command{Slot: 0, Mess: "1/1", Sender: "", Recipient: "@c"}, 'K', " c text"},
		{wire.Command{Slot: 3, Mess: "1/1", Recipient: "a@b"}, 'Z', tooBig},
		{wire.Command{Slot: 1, Mess: "../1", Recipient: "a@b"}, 'D', nonNumeric},
		{wire.Command{Slot: 1, Mess: "/1", Recipient: "a@b"}, 'D', nonNumeric},
		{wire.Command{Slot: 1, Mess: strings.Repeat("1", 100), Recipient: "a@b"}, 'D', tooLong},
		{wire.Command{Slot: 1, Mess: "", Recipient: "a@b"}, 'D', tooShort},
		{wire.Command{Slot: 1, Mess: "1/1", Recipient: "a"}, 'D', noHost},
		{wire.Command{Slot: 1, Mess: "1/7", Recipient: "a@b"}, 'Z', cannotOpen},
		{wire.Command{Slot: 1, Mess: "1/2", Recipient: "a@b"}, 'Z', wrongType},
		{wire.Command{Slot: 1, Mess: "1/1", Recipient: "nofork@b"}, 'Z', cannotFork},
		{wire.Command{Slot: 1, Mess: "1/1", Recipient: "nopipe@b"}, 'Z', cannotPipe},
		{wire.Command{Slot: 1, Mess: "1/1", Recipient: "long@b"}, 'K', ""}, // see below
	} {
		send(test.command)
		r := next(t, reports)
		if test.text == "" {
			if !strings.Contains(string(r.Text), "\nError report too long, sorry.\n") || len(r.Text) > 3000 {
				t.Errorf("long output: %d bytes, %q at the end", len(r.Text), r.Text[len(r.Text)-40:])
			}
			continue
		}
		if r.Slot != test.command.Slot || r.Status != test.status || string(r.Text) != test.text {
			t.Errorf("%+v: got %c %q for slot %d, want %c %q", test.command, r.Status, r.Text, r.Slot, test.status, test.text)
		}
	}
	hangUp()
	if r, ok := <-reports; ok {
		t.Errorf("another report: %+v", r)
	}
}

func TestSlotInUseAndEndOfInput(t *testing.T) {
	gate := make(chan struct{})
	send, hangUp, reports := talk(t, &fakeWorker{gate: map[string]chan struct{}{"slow": gate}})
	send(wire.Command{Slot: 0, Mess: "1/1", Recipient: "slow@b"})
	send(wire.Command{Slot: 0, Mess: "1/1", Recipient: "a@b"})
	if r := next(t, reports); r.Status != 'Z' || string(r.Text) != inUse {
		t.Errorf("got %c %q, want the slot to be in use", r.Status, r.Text)
	}
	send(wire.Command{Slot: 1, Mess: "1/1", Recipient: "a@b"})
	if r := next(t, reports); r.Slot != 1 || r.Status != 'K' {
		t.Errorf("a delivery that is slow holds up another: %+v", r)
	}
	hangUp()
	close(gate)
	if r := next(t, reports); r.Slot != 0 || r.Status != 'K' {
		t.Errorf("at the end of its input the spawner waits for what runs: got %+v", r)
	}
}

func TestProbe(t *testing.T) {
	send, hangUp, reports := talk(t, &fakeWorker{})
	send(wire.Command{Slot: wire.NoSlot, Mess: "1/1", Recipient: "a@b"})
	if r := next(t, reports); r.Slot != wire.NoSlot || r.Status != 'Z' || string(r.Text) != tooBig {
		t.Errorf("not the probe: %+v", r)
	}
	send(wire.Probe())
	if slots, ok := next(t, reports).ProbedSlots(); !ok || slots != 3 {
		t.Errorf("the probe: %d, %v", slots, ok)
	}
	hangUp()
}

// progressWorker tells of progress, then waits.
type progressWorker struct{ gate chan struct{} }

func (w progressWorker) Run(d Delivery) End {
	for _, phase := range []string{"lookup", "connect", "sending"} {
		d.Progress(phase, "mx", 1, 2)
	}
	<-w.gate
	d.Progress("finish", "", 2, 2)
	go d.Progress("late", "", 0, 0)
	return End{}
}

func (progressWorker) Report(End, []byte) (byte, []byte) { return 'K', nil }

// Who asked is told the latest of a delivery, and nothing of one that ends at
// once or has ended.
func TestProgress(t *testing.T) {
	w := progressWorker{make(chan struct{})}
	send, hangUp, reports := talk(t, w)
	send(wire.Command{Slot: 1, Mess: "1/1", Recipient: "a@b"}) // for one that has not asked
	w.gate <- struct{}{}
	if r := next(t, reports); r.Status != 'K' {
		t.Errorf("nobody asked: %+v", r)
	}
	send(wire.Probe())
	next(t, reports)
	send(wire.Command{Slot: 2, Mess: "1/1", Recipient: "a@b"})
	r := next(t, reports)
	if p, ok := wire.ParseProgress(r.Text); r.Slot != 2 || r.Status != wire.Progressing || !ok || p != (wire.Progress{Phase: "sending", Host: "mx", Sent: 1, Total: 2}) {
		t.Errorf("got %+v %q", r, r.Text)
	}
	w.gate <- struct{}{}
	if r := next(t, reports); r.Slot != 2 || r.Status != 'K' {
		t.Errorf("the end: %+v", r)
	}
	hangUp()
	if r, ok := <-reports; ok {
		t.Errorf("another report: %+v", r)
	}
}

func TestSlots(t *testing.T) {
	for _, test := range []struct {
		wanted int
		files  uint64
		want   int
	}{
		{20, 10, 20},
		{120, 64, 120},
		{2000, 1024, 154},
		{2000, 1 << 20, 2000},
		{5000, 1<<64 - 1, 2000},
		{1000, 1 << 20, 1000},
	} {
		if got := slots(test.wanted, test.files); got != test.want {
			t.Errorf("%d wanted, %d files: got %d, want %d", test.wanted, test.files, got, test.want)
		}
	}
}

func FuzzCommands(f *testing.F) {
	f.Add([]byte("\x001/1\x00s\x00r@h\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var whole, pieces wire.CommandParser
		whole.Add(data)
		for _, c := range data {
			pieces.Add([]byte{c})
		}
		for {
			a, ok := whole.Next()
			b, ok2 := pieces.Next()
			if ok != ok2 || a != b {
				t.Fatalf("%q: %v, %v at once, %v, %v in pieces", data, a, ok, b, ok2)
			}
			if !ok {
				return
			}
			if again := a.Append(nil); !bytes.Contains(data, again) {
				t.Fatalf("%q: %v would be sent as %q", data, a, again)
			}
		}
	})
}
