package rspawn

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/qmail/spawn"
)

func TestRun(t *testing.T) {
	reaper := child.NewReaper()
	for _, test := range []struct {
		name, script string
		end          spawn.End
		output       string
	}{
		{"its arguments, the message, both outputs", `printf '<%s>' "$@"; cat; echo complaint >&2`, spawn.End{},
			"<x.example><s@y><joe@x.example>text\ncomplaint\n"},
		{"its exit code", "exit 17", spawn.End{Code: 17}, ""},
		{"a crash", "kill -9 $$", spawn.End{Crashed: true}, ""},
		{"no program", "", spawn.End{Code: 100}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(dir+"/message", []byte("text\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.script != "" {
				if err := os.WriteFile(dir+"/deliver", []byte("#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			in, err := fdio.Open(dir+"/message", syscall.O_RDONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			r, w, err := fdio.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
			end := (&Remote{Program: "deliver", Reaper: reaper}).Run(spawn.Delivery{
				Sender: "s@y", Recipient: "joe@x.example", Local: "joe", Domain: "x.example", Message: in, Output: w})
			w.Close()
			output, _ := io.ReadAll(r)
			if end != test.end || string(output) != test.output {
				t.Errorf("got %+v, %q, want %+v, %q", end, output, test.end, test.output)
			}
		})
	}
}
