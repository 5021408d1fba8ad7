package send

import (
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/compat/wire"
	"github.com/reqmail/reqmail/queue"
)

// meet makes a spawner of which is known what it says at first, and returns
// what it was told.
func meet(t *testing.T, says string, concurrency int, progress bool) (sp *spawner, told string) {
	t.Helper()
	commands, cw, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reports, rw, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []fdio.FD{commands, reports} {
		t.Cleanup(func() { f.Close() })
	}
	if _, err := rw.WriteString(says); err != nil {
		t.Fatal(err)
	}
	rw.Close()
	if sp, err = newSpawner(queue.Local, cw, reports, concurrency, progress); err != nil {
		t.Fatal(err)
	}
	cw.Close()
	buf := make([]byte, 1000)
	n, _ := commands.Read(buf)
	return sp, string(buf[:n])
}

func TestProbe(t *testing.T) {
	probe := string(wire.Probe().Append(nil))
	answer := string(wire.ProbeAnswer(1000).Append(nil))
	for _, test := range []struct {
		name, says  string
		concurrency int
		progress    bool
		slots       int
		tells       bool
		told        string
	}{
		{"one of ours", "\xff" + answer, 900, false, 900, true, probe},
		{"one of ours, asked for more", "\xff" + answer, 5000, false, 1000, true, probe},
		{"one of ours, progress wanted", "\x78" + answer, 10, true, 10, true, probe},
		{"nothing wanted", "\x78", 10, false, 10, false, ""},
		{"C", "\x78" + tooBig, 900, false, 120, false, probe},
		{"C with all slots", "\xff" + tooBig, 900, true, 255, false, probe},
		{"C without limit of concurrency", "\x78" + tooBig, -1, true, 120, false, probe},
		{"another version", "\x78" + strings.Replace(answer, "slots 1", "slots 2", 1), 900, true, 120, false, probe},
		{"too many", "\x78" + strings.Replace(answer, "1000", "2001", 1), 900, true, 120, false, probe},
		{"one that ends", "\x78", 900, true, 120, false, probe},
	} {
		sp, told := meet(t, test.says, test.concurrency, test.progress)
		if len(sp.slots) != test.slots || sp.tells != test.tells || told != test.told {
			t.Errorf("%s: %d slots, tells %v, told %q", test.name, len(sp.slots), sp.tells, told)
		}
	}
}

// An answer that comes late is nobody's report.
func TestLateAnswer(t *testing.T) {
	p := newPeers(t, 9, func() {})
	before := p.logged()
	p.spawners[queue.Local].probing = true
	p.answer(queue.Local, tooBig)
	if after := p.logged(); after != before {
		t.Errorf("log %q", strings.TrimPrefix(after, before))
	}
	p.answer(queue.Local, tooBig)
	p.wantLog("internal error: delivery report out of range")
}

func TestWideSlots(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	sp := p.spawners[queue.Local]
	sp.slots = make([]*delivery, 400)
	for i := range 399 {
		sp.slots[i] = &delivery{}
	}
	p.turns()
	if cmd := p.command(queue.Local); cmd.Slot != 399 || cmd.Mess != "7/7" {
		t.Errorf("command %+v", cmd)
	}
	p.answer(queue.Local, string(wire.Report{Slot: 399, Status: 'K', Text: []byte("fine\n")}.Append(nil)))
	p.wantLog("delivery 1: success: fine/\n")
	if sp.slots[399] != nil {
		t.Error("the slot is not free")
	}
}

func TestProgress(t *testing.T) {
	p := newPeers(t, 9, func() { preprocessed(t, 7, 0, "Ta@h\x00") })
	p.turns()
	p.command(queue.Local)
	progress := string(wire.Progress{Phase: "sending", Host: "mx", Sent: 10, Total: 100}.Report(0).Append(nil))

	sp := p.spawners[queue.Local]
	sp.tells = true
	p.answer(queue.Local, progress)
	size := p.live()[0].Size
	if d := p.live()[0]; d.Phase != steer.PhaseSending || d.Host != "mx" || d.Sent != size/10 {
		t.Errorf("live %+v", d)
	}
	p.answer(queue.Local, "\x00P\x00") // makes no sense
	if d := p.live()[0]; d.Phase != steer.PhaseRunning {
		t.Errorf("live %+v", d)
	}
	sp.tells = false // a C spawner that says so is broken
	p.answer(queue.Local, progress)
	p.wantLog("delivery 1: report mangled, will defer\n")
}
