package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/ids"
)

func TestTell(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		want string
	}{
		{nil, exitDone, ""},
		{exit(exitLook), exitLook, ""},
		{usage{"a mistake"}, exitUsage, "reqmail: usage: a mistake\n"},
		{fmt.Errorf("serve: %w", &ids.Missing{Kind: "user", Name: "qmailq"}), exitFailed, "reqmail: fatal: unable to find user qmailq\n"},
	} {
		var errs strings.Builder
		if code := tell(test.err, &errs); code != test.code || errs.String() != test.want {
			t.Errorf("%v: %d, %q", test.err, code, &errs)
		}
	}
}

// command runs reqmail and returns its exit code and what it printed.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = run(append([]string{"reqmail"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// Help on every command fits a terminal, and names what commands a command has.
func TestHelp(t *testing.T) {
	for line, wants := range map[string]string{
		"help": "status|rollback|completion", "help list": "--max-tries N|list [OPTION...]", "help show": "show [OPTION...] ID", "help policy": "check",
		"help policy check": "policy check [OPTION...] [FILE]", "help token": "add|list|remove", "help token add": "--domain DOMAIN|NAME",
		"token add --help": "--domain DOMAIN|token add [OPTION...] NAME", "swap --help": "--stop-patience TIME|(default: 10m0s)", "policy": "check", "--version": "reqmail version ",
	} {
		code, out, errs := command(strings.Fields(line)...)
		if code != exitDone || errs != "" {
			t.Errorf("%s: exit code %d, %s", line, code, errs)
		}
		for want := range strings.SplitSeq(wants, "|") {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", line, want, out)
			}
		}
		for text := range strings.Lines(out) {
			if len(text) > helpWidth+1 {
				t.Errorf("%s: %q is too wide", line, text)
			}
		}
		if strings.Contains(out, cleanerName) {
			t.Errorf("%s: %s is not for people", line, cleanerName)
		}
	}
	for _, line := range []string{"nosuch", "help nosuch", "help policy nosuch", "policy nosuch", "help status x", "completion", "completion csh"} {
		if code, out, errs := command(strings.Fields(line)...); code != exitUsage || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", line, code, out, errs)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := command("completion", shell); code != exitDone || !strings.Contains(out, "--generate-bash-completion") {
			t.Errorf("%s: exit code %d, %s", shell, code, out)
		}
	}
}

// What is wrong with an option is said in words for people.
func TestOptionMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"list --limit x":              "--limit takes a number, not \"x\"",
		"list --every 5":              "--every takes a time as in 90s, 10m or 2h, not \"5\"",
		"swap --stop-patience x":      "--stop-patience takes a time as in 90s, 10m or 2h, not \"x\"",
		"check --split -1":            "--split takes a number, not \"-1\"",
		"list --all=x":                "there is no option --all; reqmail help list lists them",
		"token add --frob x":          "there is no option --frob; reqmail help token add lists them",
		"--frob":                      "there is no option --frob; reqmail help lists them",
		"list --sender":               "--sender needs a value",
		"export -o":                   "-o needs a value",
		"list --json=x":               "--json takes no value, not \"x\"",
		"suspend":                     "suspend takes one of --to GLOB, --from GLOB or --channel CHANNEL, and no arguments",
		"bounce":                      "bounce takes one of --to GLOB or --from GLOB, and no arguments",
		"suspend --to a --for 10":     `--for: "10" is no span of time, as in 90s, 15m, 2h, 1d12h or 1w`,
		"expire --at 5m 7":            `--at: "5m" is a span of time: +5m is that much from now`,
		"postpone --until x 7":        `--until: "x" is no time, as in +2h, 22:30, "2026-11-25 22:30" or @1795366888`,
		"remove --older 0 --sender= ": "--sender is given without a value",
		"top --every 0":               "--every is at least 1s",
		"schedule 5":                  "schedule takes no arguments; show tells when a message is tried",
	} {
		if code, _, errs := command(strings.Fields(line)...); code != exitUsage || errs != "reqmail: usage: "+want+"\n" {
			t.Errorf("%s: exit code %d, %s", line, code, errs)
		}
	}
}
