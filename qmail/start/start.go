// Package start is qmail-start: it owns which daemon runs under which uid and
// which pipe ends at which descriptor. It must not know what the daemons do.
package start

import (
	"os"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/ids"
)

// Failed is qmail-start's exit code for every failure.
const Failed = 111

// accounts are the uids and gids that the daemons run under.
type accounts struct {
	log, queue, remote, send uint32
	nofiles, qmail           uint32
	remoteGroups             []uint32
}

// findAccounts resolves all names before anything is started.
func findAccounts() (a accounts, err error) {
	for _, user := range []struct {
		name string
		uid  *uint32
	}{{ids.Log, &a.log}, {ids.Queue, &a.queue}, {ids.Remote, &a.remote}, {ids.Send, &a.send}} {
		if *user.uid, err = ids.UID(user.name); err != nil {
			return a, err
		}
	}
	if a.nofiles, err = ids.GID(ids.Nofiles); err != nil {
		return a, err
	}
	if a.qmail, err = ids.GID(ids.Qmail); err != nil {
		return a, err
	}
	if a.remoteGroups, err = ids.Groups(ids.Remote, a.qmail); err != nil {
		return a, err
	}
	return a, nil
}

// credential returns the identity of a daemon, nil in a private home.
func credential(uid, gid uint32, groups ...uint32) *syscall.Credential {
	if home.Private() {
		return nil
	}
	if len(groups) == 0 {
		groups = []uint32{gid}
	}
	return &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
}

// Run starts the system; args are defaultdelivery and the logger. It returns
// only if it fails.
func Run(args []string) int {
	if err := run(args); err != nil {
		if missing, ok := err.(*ids.Missing); ok {
			_, _ = fdio.FD(2).WriteString(missing.Error() + "\n")
		}
	}
	return Failed
}

func run(args []string) error {
	if err := syscall.Chdir("/"); err != nil {
		return err
	}
	syscall.Umask(0o077)
	a, err := findAccounts()
	if err != nil {
		return err
	}
	output := fdio.FD(1)
	if len(args) > 1 {
		if output, err = startLogger(args[1:], a); err != nil {
			return err
		}
	}
	delivery := "./Mailbox"
	if len(args) > 0 {
		delivery = args[0]
	}
	lspawn, err := startDaemon([]string{"qmail-lspawn", delivery}, credential(0, a.qmail))
	if err != nil {
		return err
	}
	rspawn, err := startDaemon([]string{"qmail-rspawn"}, credential(a.remote, a.qmail, a.remoteGroups...))
	if err != nil {
		return err
	}
	clean, err := startDaemon([]string{"qmail-clean"}, credential(a.queue, a.qmail))
	if err != nil {
		return err
	}
	files := []fdio.FD{output, lspawn.commands, lspawn.reports, rspawn.commands, rspawn.reports, clean.commands, clean.reports}
	return become("qmail-send", files, credential(a.send, a.qmail))
}

// startLogger starts the logger and returns the pipe into it.
func startLogger(argv []string, a accounts) (fdio.FD, error) {
	r, w, err := fdio.Pipe()
	if err != nil {
		return child.Closed, err
	}
	defer r.Close()
	return w, start(argv, []fdio.FD{r, 1}, credential(a.log, a.nofiles))
}

// daemon is the parent's side of the pipes of a daemon.
type daemon struct{ commands, reports fdio.FD }

func startDaemon(argv []string, cred *syscall.Credential) (daemon, error) {
	in, commands, err := fdio.Pipe()
	if err != nil {
		return daemon{}, err
	}
	reports, out, err := fdio.Pipe()
	if err != nil {
		return daemon{}, err
	}
	defer in.Close()
	defer out.Close()
	return daemon{commands, reports}, start(argv, []fdio.FD{in, out}, cred)
}

// start runs a program found by PATH with descriptors 0 and 1; 2 to 6 are
// closed. One that cannot be found or executed is no error: as in C its pipe
// breaks, and qmail-send says what that means.
func start(argv []string, files []fdio.FD, cred *syscall.Credential) error {
	for len(files) <= 6 {
		files = append(files, child.Closed)
	}
	cmd := child.Command{Path: argv[0], Find: true, Args: argv, Files: files, Credential: cred}
	if _, err := cmd.Start(); err == syscall.EAGAIN || err == syscall.ENOMEM {
		return err
	}
	return nil
}

// become turns the process into a program found by PATH, with files as
// descriptors 0, 1, … .
func become(name string, files []fdio.FD, cred *syscall.Credential) error {
	path, err := child.Lookup(name)
	if err != nil {
		return err
	}
	// First out of the way of the numbers they are to have.
	for i, f := range files {
		n, err := fdio.DupAbove(f, len(files))
		if err != nil {
			return err
		}
		files[i] = n
	}
	for i, f := range files {
		if err := syscall.Dup3(int(f), i, 0); err != nil {
			return err
		}
	}
	if cred != nil {
		if err := syscall.Setgroups(gids(cred.Groups)); err != nil {
			return err
		}
		if err := syscall.Setgid(int(cred.Gid)); err != nil {
			return err
		}
		if err := syscall.Setuid(int(cred.Uid)); err != nil {
			return err
		}
	}
	return child.Exec(path, []string{name}, os.Environ())
}

func gids(groups []uint32) []int {
	out := make([]int, len(groups))
	for i, g := range groups {
		out[i] = int(g)
	}
	return out
}
