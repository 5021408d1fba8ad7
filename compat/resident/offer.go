package resident

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Offer is a parent's offer to a child that it is about to start.
type Offer struct {
	Conn   *Conn    // to the child, should it stay
	Of     Identity // of the executable
	theirs fdio.FD
}

// ErrForeign says that a program cannot take an offer.
var ErrForeign = errors.New("program cannot take an offer")

// Unread says what to do about a program whose file the parent may not read, so
// that it cannot tell whether the program takes offers: hosts have qmail-remote
// with mode 0711, and qmail-queue with 04711.
type Unread bool

// What can be done about it.
const (
	NoOffer  Unread = false // it may run others, who would inherit the offer
	OfferToo Unread = true  // C's runs nobody
)

// Extend adds an offer to a command, which must have its Files. The command's
// program is resolved here, so that what is run is what is identified. An
// error leaves the command as it was: it can be run all the same.
func Extend(cmd *child.Command, unread Unread) (*Offer, error) {
	path, err := Resolve(cmd)
	if err != nil {
		return nil, err
	}
	of, err := Identify(path)
	if err != nil {
		return nil, err
	}
	if !TakesOffer(path, unread) {
		return nil, ErrForeign
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn, err := newConn(fdio.FD(pair[0]))
	if err != nil {
		conn.Close()
		fdio.FD(pair[1]).Close()
		return nil, err
	}
	files := slices.Clone(cmd.Files)
	for len(files) < firstSocket {
		files = append(files, child.Closed)
	}
	env := cmd.Env
	if env == nil {
		env = os.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, Variable+"=") })
	invited := invitation{fdio.FD(len(files)), of}
	cmd.Files = append(files, fdio.FD(pair[1]))
	cmd.Env = append(env, Variable+"="+invited.String())
	return &Offer{conn, of, fdio.FD(pair[1])}, nil
}

// TakesOffer reports whether a program can take an offer, as far as its file
// tells.
func TakesOffer(path string, unread Unread) bool {
	takes, err := ours(path)
	return takes || unread == OfferToo && err == syscall.EACCES
}

// mark is in every program that can take an offer: the name of the function
// that does so.
const mark = "compat/resident.Invited"

// ours reports whether an executable can take an offer. Others are run without
// one: they would hand socket and variable down to what they run. The error is
// that of opening the file.
func ours(path string) (bool, error) {
	f, err := fdio.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	is := version{IdentityOf(&st), st.Size, st.Ctim}
	if last := looked.Load(); last != nil && *last == is {
		return true, nil
	}
	if !marked(f) {
		return false, nil
	}
	looked.Store(&is)
	return true, nil
}

// version is an executable as it was at a time.
type version struct {
	Identity
	size    int64
	changed syscall.Timespec
}

// looked is the executable of ours that this process has last read: to read one
// costs as much as a third of its start.
var looked atomic.Pointer[version]

// marked reports whether the mark is in a file.
func marked(f fdio.FD) bool {
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := f.Read(buf[kept:])
		if bytes.Contains(buf[:kept+n], []byte(mark)) {
			return true
		}
		if err != nil {
			return false
		}
		end := kept + n
		kept = copy(buf, buf[max(0, end-len(mark)):end])
	}
}

// Resolve returns the file that a command executes, as seen from here.
func Resolve(cmd *child.Command) (string, error) {
	path := cmd.Path
	if cmd.Find {
		var err error
		if path, err = child.Lookup(path); err != nil {
			return "", err
		}
	}
	if cmd.Dir != "" && !strings.HasPrefix(path, "/") {
		path = cmd.Dir + "/" + path
	}
	return path, nil
}

// Started must be called once the child is started or could not be.
func (o *Offer) Started() { o.theirs.Close() }

// Accepted waits for the child's word that it stays, and returns what it says
// about its first job. An error is a child that does not stay: it ended, or is
// a foreign one, or of another version.
func (o *Offer) Accepted(name string) (first []byte, err error) {
	data, files, err := o.Conn.Receive(make([]byte, MaxDatagram))
	return greeted(name, data, files, err)
}

// Answered is Accepted for who knows that the child has said by now what it
// has to say: it does not wait. What the child says must be short.
func (o *Offer) Answered(name string) (first []byte, err error) {
	var data []byte
	var files []fdio.FD
	if controlErr := o.Conn.call.Control(func(fd uintptr) {
		data, files, err = receive(int(fd), make([]byte, 512))
	}); controlErr != nil {
		return nil, controlErr
	}
	return greeted(name, data, files, err)
}

func greeted(name string, data []byte, files []fdio.FD, err error) (first []byte, _ error) {
	if err != nil {
		return nil, err
	}
	Close(files)
	first, ok := bytes.CutPrefix(data, greeting(name))
	if !ok {
		return nil, syscall.EPROTO
	}
	return first, nil
}

// Child is the child that has said that it stays.
func (o *Offer) Child(pid int) *Child { return &Child{Conn: o.Conn, Of: o.Of, PID: pid} }

// greeting is what a child says first.
func greeting(name string) []byte { return []byte(name + "/" + protocol + "\x00") }
