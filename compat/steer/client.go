package steer

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ErrNobody says that nobody listens: no qmail-send of ours runs on that
// queue. C's may.
var ErrNobody = errors.New("qmail-send does not listen")

// Client is the asking side of a conversation. It is for one goroutine.
type Client struct{ lines *lines }

// Dial connects to the qmail-send that runs on the queue in the directory
// queue. ErrNobody is for a socket that is missing, or left by one that died;
// other errors are the system's, lacking permission above all.
func Dial(queue string) (*Client, error) {
	// A socket's address has room for 107 bytes: lead there by a descriptor.
	path := filepath.Join(queue, Folder)
	dir, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err == syscall.ENOENT {
		return nil, ErrNobody
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(dir)
	fd, err := unixSocket()
	if err != nil {
		return nil, err
	}
	name := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(Socket)
	err = connect(fd, name)
	if err != nil {
		_ = syscall.Close(fd)
		if err == syscall.ENOENT || err == syscall.ECONNREFUSED {
			return nil, ErrNobody
		}
		return nil, &os.PathError{Op: "connect to", Path: filepath.Join(queue, Socket), Err: err}
	}
	c := &Client{newLines(os.NewFile(uintptr(fd), Socket))}
	c.lines.in.Reset(timed{c.lines.file, answerPatience})
	return c, nil
}

// connect connects; where more clients wait than there is room for it tries
// again for a moment.
func connect(fd int, name string) (err error) {
	const pause = 20 * time.Millisecond
	for tries := patience / pause; tries > 0; tries-- {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: name})
		if err != syscall.EAGAIN && err != syscall.EINTR {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

// Close ends the conversation.
func (c *Client) Close() error { return c.lines.file.Close() }

// Error is a refusal by qmail-send, in words for the administrator.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// ask sends a request and hands each line of the answer but the last to each,
// which may be nil; it returns the last line. An error of each, or one of the
// conversation, leaves the client fit for nothing but Close.
func (c *Client) ask(r Request, each func(Answer) error) (Answer, error) {
	err := c.lines.write(&r)
	if err == nil {
		err = c.lines.flush()
	}
	for err == nil {
		var a Answer
		if err = c.lines.read(MaxAnswer, &a); err != nil {
			break
		}
		if a.Error != "" {
			return a, &Error{a.Error}
		}
		if a.Done {
			return a, nil
		}
		if each != nil {
			err = each(a)
		}
	}
	return Answer{}, err
}

// Status asks for the state of the queue.
func (c *Client) Status() (Status, error) {
	a, err := c.ask(Request{Verb: VerbStatus}, nil)
	if err == nil && a.Status == nil {
		err = errAnswer
	}
	if err != nil {
		return Status{}, err
	}
	return *a.Status, nil
}

// errAnswer says that an answer lacks what was asked for.
var errAnswer = errors.New("answer of qmail-send is not understood")

// List hands the messages of a query to each, in order, and returns how many
// there are without regard to the limit, or -1 where files had to be looked at
// for it and the limit was reached before all were.
func (c *Client) List(q Query, each func(Message) error) (total int, err error) {
	a, err := c.ask(Request{Verb: VerbList, Query: &q}, func(a Answer) error {
		if a.Message == nil {
			return errAnswer
		}
		return each(*a.Message)
	})
	return a.Total, err
}

// Show asks for all that is known of one message; a Name without birth will
// do.
func (c *Client) Show(name Name) (m Message, err error) {
	found := false
	_, err = c.ask(Request{Verb: VerbShow, Name: &name}, func(a Answer) error {
		if a.Message == nil {
			return errAnswer
		}
		m, found = *a.Message, true
		return nil
	})
	if err == nil && !found {
		err = errAnswer
	}
	return m, err
}

// Live hands the deliveries under way to each, oldest first.
func (c *Client) Live(each func(Delivery) error) error {
	_, err := c.ask(Request{Verb: VerbLive}, func(a Answer) error {
		if a.Delivery == nil {
			return errAnswer
		}
		return each(*a.Delivery)
	})
	return err
}

// Rules asks for the suspensions and bounces in force.
func (c *Client) Rules() (rules []Rule, err error) {
	_, err = c.ask(Request{Verb: VerbRules}, func(a Answer) error {
		if a.Rule == nil {
			return errAnswer
		}
		rules = append(rules, *a.Rule)
		return nil
	})
	return rules, err
}

// Act does something to messages. What holds, releases, removes, postpones or
// expires is on disk for good when it returns without error.
func (c *Client) Act(act Act) (Result, error) {
	return c.result(Request{Verb: act.Verb, Act: &act})
}

// AddRule puts a suspension or bounce in force; Result has its number and how
// many messages in the queue it applies to.
func (c *Client) AddRule(rule Rule, dryRun bool) (Result, error) {
	return c.result(Request{Verb: rule.Verb, Rule: &rule, DryRun: dryRun})
}

// CancelRule ends a suspension or bounce; what waited for it is due now. Result
// has how many messages that are.
func (c *Client) CancelRule(number int, dryRun bool) (Result, error) {
	return c.result(Request{Verb: Cancel, Rule: &Rule{Number: number}, DryRun: dryRun})
}

// Flush makes everything due now on a channel, or, with "", on both.
func (c *Client) Flush(channel string, dryRun bool) (Result, error) {
	return c.result(Request{Verb: Flush, Rule: &Rule{Channel: channel}, DryRun: dryRun})
}

func (c *Client) result(r Request) (Result, error) {
	a, err := c.ask(r, nil)
	if err == nil && a.Result == nil {
		err = errAnswer
	}
	if err != nil {
		return Result{}, err
	}
	return *a.Result, nil
}
