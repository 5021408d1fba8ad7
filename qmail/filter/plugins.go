package filter

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/control"
)

// stage is a section of smtpplugins; its name is the first letter of the
// section's, which is all that counts.
type stage byte

const (
	stageConnection stage = 'c'
	stageHello      stage = 'h'
	stageAuth       stage = 'a'
	stageMail       stage = 'm'
	stageRcpt       stage = 'r'
	stageData       stage = 'd'
)

// plugins is qmail-spp: programs that are run at each stage, each a path or,
// behind a colon, a command for the shell, and tell in lines what is to happen.
type plugins struct {
	home   string
	config map[stage][]string

	off      bool             // a plugin has said that none is needed any more
	header   string           // for the next message
	deferred map[stage]string // errors to come at a later stage
	all      int              // RCPT commands of the transaction
}

// newPlugins returns nil where no plugins are configured: control/smtpplugins
// and SPPCONFFILE are missing, or NOSPP is set.
func newPlugins(d *control.Dir, home string, lookup Lookup) (*plugins, error) {
	path, named := lookup("SPPCONFFILE")
	if !named || path == "" {
		path, named = "control/"+string(control.SMTPPlugins), false
	}
	if _, off := lookup("NOSPP"); off {
		return nil, nil
	}
	if !named && d.Lacks(control.SMTPPlugins) {
		return nil, nil
	}
	lines, ok, err := control.ReadList(below(home, path))
	if err != nil {
		return nil, err
	}
	if !ok && named {
		return nil, &control.Error{Path: path, Err: syscall.ENOENT}
	}
	if !ok {
		return nil, nil
	}
	return &plugins{home: home, config: sections(lines), deferred: map[stage]string{}}, nil
}

func sections(lines []string) map[stage][]string {
	config := map[stage][]string{}
	var at stage
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "["); ok {
			if at = 0; name != "" {
				at = stage(name[0])
			}
			continue
		}
		config[at] = append(config[at], line)
	}
	return config
}

// Greet implements Filter.
func (p *plugins) Greet(t *Transaction) Verdict { return p.run(stageConnection, t, "", nil) }

// Hello implements Filter.
func (p *plugins) Hello(t *Transaction) Verdict {
	if p.off {
		return Verdict{}
	}
	t.Setenv("SMTPHELOHOST", t.Helo)
	return p.run(stageHello, t, "", nil)
}

// Auth implements Filter.
func (p *plugins) Auth(t *Transaction) Verdict {
	if p.off {
		return Verdict{}
	}
	t.Setenv("SMTPAUTHMETHOD", t.Mechanism)
	t.Setenv("SMTPAUTHUSER", t.User)
	return p.run(stageAuth, t, "", nil)
}

// Mail implements Filter.
func (p *plugins) Mail(t *Transaction) Verdict {
	if v := p.postponed(stageMail); v.Refused() {
		return v
	}
	p.all = 0
	return p.run(stageMail, t, "SMTPMAILFROM", &t.Sender)
}

// Rcpt implements Filter.
func (p *plugins) Rcpt(t *Transaction, _ string) Verdict {
	if v := p.postponed(stageRcpt); v.Refused() {
		return v
	}
	if p.off {
		return Verdict{}
	}
	p.all++
	t.Setenv("SMTPRCPTCOUNT", strconv.Itoa(t.Recipients))
	t.Setenv("SMTPRCPTCOUNTALL", strconv.Itoa(p.all))
	ok := "0"
	if t.Allowed || !stranger(t) {
		ok = "1"
	}
	t.Setenv("SMTPRCPTHOSTSOK", ok)
	v := p.run(stageRcpt, t, "SMTPRCPTTO", &t.Recipient)
	v.Admit = v.Final
	return v
}

// Data implements Filter.
func (p *plugins) Data(t *Transaction) Verdict {
	if v := p.postponed(stageData); v.Refused() {
		return v
	}
	v := p.run(stageData, t, "", nil)
	if !v.Refused() {
		t.Header += p.header
		p.Reset()
	}
	return v
}

// Reset implements Filter.
func (p *plugins) Reset() {
	p.header, p.all = "", 0
	clear(p.deferred)
}

// postponed is the error that an earlier plugin has for this stage.
func (p *plugins) postponed(at stage) Verdict {
	return Verdict{Reply: strings.TrimSuffix(p.deferred[at], "\n")}
}

// run asks the plugins of a stage. variable tells them the address, which they
// may change.
func (p *plugins) run(at stage, t *Transaction, variable string, addr *string) Verdict {
	if p.off {
		return Verdict{}
	}
	if addr != nil {
		t.Setenv(variable, *addr)
	}
	var said Verdict
	for _, plugin := range p.config[at] {
		output, failure := p.ask(plugin, t)
		if failure != "" {
			return Verdict{Note: said.Note, Reply: "451 qmail-spp failure: " + plugin + ": " + failure + " (#4.3.0)"}
		}
		if p.hear(output, t, variable, addr, &said) {
			break
		}
	}
	return said
}

// hear obeys the lines of a plugin's and reports whether no other is to be
// heard at this stage.
func (p *plugins) hear(output string, t *Transaction, variable string, addr *string, said *Verdict) (last bool) {
	for line := range strings.SplitSeq(output, "\n") {
		if line != "" && p.obey(line, t, variable, addr, said) {
			return true
		}
	}
	return false
}

// obey does what a line says and reports whether it is the last that counts.
func (p *plugins) obey(line string, t *Transaction, variable string, addr *string, said *Verdict) (last bool) {
	letter, text := line[0], line[1:]
	switch letter {
	case 'A': // all is well, for good
		p.off = true
		return true
	case 'N': // next stage
		return true
	case 'O': // all is well, whatever others say
		said.Final = true
		return true
	case 'D':
		said.Close = true
		return true
	case 'E':
		said.Reply = reply(text)
		return true
	case 'R':
		said.Reply, said.Close = reply(text), true
		return true
	case 'P':
		said.Note += reply(text) + "\n"
	case 'H':
		p.header += text + "\n"
	case 'C':
		if addr != nil {
			*addr = text
			t.Setenv(variable, text)
		}
	case 'S':
		if name, value, ok := strings.Cut(text, "="); ok && name != "" {
			t.Setenv(name, value)
		}
	case 'U':
		t.Unsetenv(text)
	case 'L':
		p.postpone(text)
	}
	return false
}

// reply is a plugin's text for the client. It is never empty: that would mean
// that nothing is refused.
func reply(text string) string {
	if text == "" {
		return " "
	}
	return text
}

// postpone notes an error for a later stage: its letter and the text.
func (p *plugins) postpone(text string) {
	if text == "" {
		return
	}
	switch text[0] {
	case 'M':
		p.deferred[stageMail] += reply(text[1:]) + "\n"
	case 'R':
		p.deferred[stageRcpt] += reply(text[1:]) + "\n"
	case 'D':
		p.deferred[stageData] += reply(text[1:]) + "\n"
	}
}

// maxOutput is how much of a plugin's output counts, in bytes.
const maxOutput = 1 << 16

// ask runs a plugin and returns what it says, or why that is not to be had.
func (p *plugins) ask(plugin string, t *Transaction) (output, failure string) {
	argv := []string{plugin}
	if command, ok := strings.CutPrefix(plugin, ":"); ok {
		argv = []string{"/bin/sh", "-c", command}
	}
	r, w, err := fdio.Pipe()
	if err != nil {
		return "", "can't pipe()"
	}
	defer r.Close()
	cmd := child.Command{Path: argv[0], Args: argv, Env: t.Environ(), Dir: p.home, Files: []fdio.FD{child.Closed, w, 2}}
	pid, err := cmd.Start()
	w.Close()
	switch {
	case err == syscall.EAGAIN || err == syscall.ENOMEM:
		return "", "vfork() failed"
	case err != nil:
		return "", "can't execute"
	}
	said, _ := io.ReadAll(io.LimitReader(r, maxOutput))
	_, _ = io.Copy(io.Discard, bufio.NewReader(r))
	end, err := child.Wait(pid)
	switch {
	case err != nil:
		return "", "wait_pid() failed"
	case !end.Exited():
		return "", "child crashed"
	case end.ExitStatus() == exitCannotRun:
		return "", "can't execute"
	}
	text, _, _ := strings.Cut(string(said), "\x00")
	return text, ""
}
