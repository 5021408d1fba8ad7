package local

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Deliveries into a Maildir alone are carried out together; of the others nothing is
// done, whatever is in the way.
func TestTogether(t *testing.T) {
	const standard = "./Maildir/"
	for _, test := range []struct {
		name    string
		dash    string
		ext     string
		prepare func(t *testing.T)
		message string
		again   bool
	}{
		{name: "default delivery"},
		{name: "an empty file", prepare: func(t *testing.T) { write(t, ".qmail", "", 0o600) }},
		{name: "in words", prepare: func(t *testing.T) { write(t, ".qmail", "# mine\n./Maildir/ \n\n+unknown\n", 0o600) }},
		{name: "an extension", dash: "-", ext: "ext", prepare: func(t *testing.T) { write(t, ".qmail-default", "./Maildir/", 0o600) }},
		{name: "a large message", message: "Subject: x\n\n" + strings.Repeat("line\n", headSize)},

		{name: "two Maildirs", prepare: func(t *testing.T) { write(t, ".qmail", "./Maildir/\n./Maildir/\n", 0o600) }, again: true},
		{name: "an mbox", prepare: func(t *testing.T) { write(t, ".qmail", "./Mailbox\n", 0o600) }, again: true},
		{name: "a program", prepare: func(t *testing.T) { write(t, ".qmail", "./Maildir/\n|touch done\n", 0o600) }, again: true},
		{name: "a forward", prepare: func(t *testing.T) { write(t, ".qmail", "&a@b\n./Maildir/\n", 0o600) }, again: true},
		{name: "forwards only", prepare: func(t *testing.T) { write(t, ".qmail", "./Maildir/\n", 0o700) }, again: true},
		{name: "a blank line", prepare: func(t *testing.T) { write(t, ".qmail", "\n./Maildir/\n", 0o600) }, again: true},
		{name: "no mailbox", dash: "-", ext: "ext", again: true},
		{name: "no Maildir", prepare: func(t *testing.T) { os.RemoveAll("Maildir") }, again: true},
		{name: "half a Maildir", prepare: func(t *testing.T) { os.RemoveAll("Maildir/new") }, again: true},
		{name: "a loop", message: "Delivered-To: joe@host.example\n\nx\n", again: true},
		{name: "a home that others write to", prepare: func(t *testing.T) { os.Chmod(".", 0o777) }, again: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p Process
			var ds []*Delivery
			var outs [3]bytes.Buffer
			text := test.message
			if text == "" {
				text = message
			}
			for i := range outs { // the one in the middle is as the test wants it, two others have homes that are in order
				d := delivery(t, "", "", standard)
				want := message
				if i == 1 {
					d = delivery(t, test.dash, test.ext, standard)
					want = text
				}
				d.Process, d.Out, d.Message = &p, &outs[i], file(t, want)
				makeMaildir(t)
				if i == 1 && test.prepare != nil {
					test.prepare(t)
				}
				ds = append(ds, d)
			}
			outcomes, abandoned := p.Together(ds)
			if want := []Outcome{{}, {Again: test.again}, {}}; !slices.Equal(outcomes, want) || abandoned {
				t.Fatalf("outcomes %+v, abandoned %v, want %+v", outcomes, abandoned, want)
			}
			for i, d := range ds {
				messages, _ := filepath.Glob(d.HomeDir + "/Maildir/new/*")
				left, _ := filepath.Glob(d.HomeDir + "/Maildir/tmp/*")
				if outcomes[i].Again {
					if len(messages)+len(left) > 0 || outs[i].Len() > 0 {
						t.Errorf("delivered %q, left %q, printed %q", messages, left, outs[i].String())
					}
					continue
				}
				if len(messages) != 1 || len(left) > 0 || outs[i].String() != "did 1+0+0\n" {
					t.Fatalf("delivery %d: new has %q, tmp %q, printed %q", i, messages, left, outs[i].String())
				}
				got, _ := os.ReadFile(messages[0])
				want := text
				if i != 1 {
					want = message
				}
				if head := "Return-Path: <s@x.example>\nDelivered-To: joe" + d.Dash + d.Ext + "@host.example\n"; string(got) != head+want {
					t.Errorf("delivery %d: got %d bytes %.100q", i, len(got), got)
				}
			}
		})
	}
}

// On a disk that is slow all wait at once, and what goes wrong is told of those whose
// message is in its place.
func TestTogetherOnSlowDisk(t *testing.T) {
	p := Process{slow: true}
	var ds []*Delivery
	var out bytes.Buffer
	for range 5 {
		d := delivery(t, "", "", "./Maildir/")
		d.Process, d.Out = &p, &out
		makeMaildir(t)
		ds = append(ds, d)
	}
	outcomes, _ := p.Together(ds)
	for i, o := range outcomes {
		if messages, _ := filepath.Glob(ds[i].HomeDir + "/Maildir/new/*"); o != (Outcome{}) || len(messages) != 1 {
			t.Errorf("delivery %d: %+v, %q", i, o, messages)
		}
	}
}
