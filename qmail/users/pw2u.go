package users

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/control"
)

// HomeRule says what qmail-pw2u does about home directories.
type HomeRule int

// The rules of qmail-pw2u(8), -o, -h and -H.
const (
	SkipBadHomes  HomeRule = iota // skip users without a home of their own
	StopOnMissing                 // stop where a home does not exist
	IgnoreHomes
)

// Pw2u turns the password file into users/assign. The working directory is
// the home.
type Pw2u struct {
	Homes     HomeRule
	AllowCaps bool   // users with upper-case letters in their names too
	Break     string // between user and extension; empty for none
	Dash      string // of the .qmail files of extensions

	include, exclude, mailNames control.Map // nil where there is no file
	accounts                    control.Map // fields of a user seen, by name
	sawAlias                    bool
	out                         *bufio.Writer
}

// Errors of qmail-pw2u, worded for its user.
var (
	errInput    = errors.New("unable to read input")
	errOutput   = errors.New("unable to write output")
	errControls = errors.New("unable to read controls")
	errAlias    = errors.New("unable to find alias user")
)

// Run reads passwd lines and writes an assign file, as far as it comes.
func (p *Pw2u) Run(passwd io.Reader, assign io.Writer) error {
	p.out = bufio.NewWriter(assign)
	p.accounts = control.Map{}
	if err := p.assign(flushing{passwd, p.out}); err != nil {
		return err
	}
	if p.out.Flush() != nil {
		return errOutput
	}
	return nil
}

// flushing writes out what there is before it waits for more input, as a
// filter must whose user types.
type flushing struct {
	io.Reader
	out *bufio.Writer
}

func (f flushing) Read(b []byte) (int, error) {
	_ = f.out.Flush() // an error stays until the last one
	return f.Reader.Read(b)
}

func (p *Pw2u) assign(passwd io.Reader) error {
	if err := p.readControls(); err != nil {
		return err
	}
	if err := eachLine(passwd, p.account); err != nil {
		return err
	}
	if !p.sawAlias {
		return errAlias
	}
	if err := eachLineOf("users/subusers", p.subuser); err != nil {
		return err
	}
	if err := eachLineOf("users/append", func(line string) error {
		p.put(line)
		return nil
	}); err != nil {
		return err
	}
	p.put(".\n")
	return nil
}

func (p *Pw2u) put(parts ...string) {
	for _, s := range parts {
		_, _ = p.out.WriteString(s) // an error stays until Flush
	}
}

func (p *Pw2u) readControls() error {
	d, err := control.Open("users")
	if err != nil {
		return errControls
	}
	for _, file := range []struct {
		name  control.Name
		table func([]string) control.Map
		into  *control.Map
	}{
		{"include", control.Set, &p.include},
		{"exclude", control.Set, &p.exclude},
		{"mailnames", control.Pairs, &p.mailNames},
	} {
		entries, ok, err := d.List(file.name)
		if err != nil {
			return errControls
		}
		if ok {
			*file.into = file.table(entries)
		}
	}
	return nil
}

// account handles one passwd line: name:password:uid:gid:gecos:home:shell.
// What is not one is skipped.
func (p *Pw2u) account(line string) error {
	f := strings.SplitN(line, ":", 7)
	if len(f) < 7 || strings.Contains(line, "\x00") {
		return nil
	}
	name, uid, gid, home := f[0], f[2], f[3], f[5]
	if wanted, err := p.wants(name, uid, home); err != nil || !wanted {
		return err
	}
	fields := ":" + name + ":" + uid + ":" + gid + ":" + home + ":"
	for key, value := range control.Pairs([]string{name + ":" + fields}) {
		p.accounts[key] = value
	}
	if name == ids.Alias {
		p.put("+", fields, p.Dash, "::\n")
		p.sawAlias = true
	}
	names, ok := p.mailNames.Get(name)
	if !ok {
		names = name
	}
	for mailName := range strings.SplitSeq(names, ":") {
		if mailName == "" {
			continue
		}
		p.put("=", mailName, fields, "::\n")
		if p.Break != "" {
			p.put("+", mailName, p.Break, fields, p.Dash, "::\n")
		}
	}
	return nil
}

// wants tells whether a user gets mail by name.
func (p *Pw2u) wants(name, uidText, home string) (bool, error) {
	uid := leadingNumber(uidText)
	switch {
	case uid == 0,
		!p.AllowCaps && strings.ContainsFunc(name, func(r rune) bool { return 'A' <= r && r <= 'Z' }),
		p.include != nil && !p.include.Has(name),
		p.exclude != nil && p.exclude.Has(name):
		return false, nil
	}
	if p.Homes == IgnoreHomes {
		return true, nil
	}
	var st syscall.Stat_t
	if err := syscall.Stat(home, &st); err != nil {
		if err != syscall.ENOENT || p.Homes == StopOnMissing {
			return false, errors.New("unable to stat " + home)
		}
		return false, nil
	}
	return uint64(st.Uid) == uid, nil
}

func leadingNumber(s string) uint64 {
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseUint(s[:end], 10, 64)
	return n
}

// subuser handles one line "sub:user:pre:" of users/subusers.
func (p *Pw2u) subuser(line string) error {
	sub, rest, ok := strings.Cut(line, ":")
	if !ok {
		return nil
	}
	user, rest, ok := strings.Cut(rest, ":")
	if !ok {
		return nil
	}
	fields, known := p.accounts.Get(user)
	if !known {
		return errors.New("unable to find " + user + " user for subuser")
	}
	prefix, _, ok := strings.Cut(rest, ":")
	if !ok {
		return nil
	}
	p.put("=", sub, fields, p.Dash, ":", prefix, ":\n")
	if p.Break != "" {
		p.put("+", sub, p.Break, fields, p.Dash, ":", prefix, "-:\n")
	}
	return nil
}

// eachLineOf calls do for each line of a file that need not be there.
func eachLineOf(path string, do func(string) error) error {
	f, err := fdio.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return errControls
	}
	defer f.Close()
	return eachLine(f, do)
}

// eachLine calls do for each line, with its newline if it has one.
func eachLine(r io.Reader, do func(string) error) error {
	in := bufio.NewReaderSize(r, 8192)
	for {
		line, readErr := in.ReadString('\n')
		if readErr != nil && readErr != io.EOF {
			return errInput
		}
		if err := do(line); err != nil {
			return err
		}
		if readErr == io.EOF {
			return nil
		}
	}
}
