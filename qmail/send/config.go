package send

import (
	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/policy"
	"github.com/reqmail/reqmail/queue"
)

// Config is what qmail-send reads from the control directory.
type Config struct {
	Lifetime       int64 // seconds a message is tried for
	Concurrency    [queue.Channels]int
	BounceFrom     string // user part of a bounce's From field
	BounceHost     string
	DoubleBounceTo string // whole address
	FreezeBounces  bool   // keep, held, what can neither be delivered nor returned
	Fair           bool   // destinations share the slots of the remote channel

	domainLifetime control.Map
	policy         *policy.Policy // nil: nothing to be decided
	policyTrouble  []error        // lines of control/mailpolicy that are no rules

	routes
	dir *control.Dir
}

// ReadConfig reads the control directory at path.
func ReadConfig(path string) (*Config, error) {
	d, err := control.Open(path)
	if err != nil {
		return nil, err
	}
	c := &Config{dir: d}
	r := configReader{dir: d}
	c.Lifetime = int64(r.number(control.QueueLifetime))
	c.Concurrency[queue.Local] = r.number(control.ConcurrencyLocal)
	c.Concurrency[queue.Remote] = r.number(control.ConcurrencyRemote)
	c.envNoAtHost = r.line(control.EnvNoAtHost)
	c.BounceFrom = r.line(control.BounceFrom)
	c.BounceHost = r.line(control.BounceHost)
	doubleHost := r.line(control.DoubleBounceHost)
	c.DoubleBounceTo = r.line(control.DoubleBounceTo) + "@" + doubleHost
	c.FreezeBounces = r.number(control.FreezeBounces) != 0
	c.Fair = r.number(control.FairScheduler) != 0
	c.domainLifetime = control.Pairs(r.list(control.DomainLifetime))
	c.policy, c.policyTrouble, r.err = readPolicy(d, r.err)
	c.percentHack = control.Set(r.list(control.PercentHack))
	if r.err == nil {
		r.err = c.reread(d)
	}
	return c, r.err
}

// configReader reads one file after the other until one cannot be read.
type configReader struct {
	dir *control.Dir
	err error
}

func (r *configReader) number(name control.Name) (n int) {
	if r.err == nil {
		n, r.err = r.dir.Int(name)
	}
	return n
}

func (r *configReader) line(name control.Name) (line string) {
	if r.err == nil {
		line, _, r.err = r.dir.Line(name)
	}
	return line
}

func (r *configReader) list(name control.Name) (entries []string) {
	if r.err == nil {
		entries, _, r.err = r.dir.List(name)
	}
	return entries
}

// lifetimeFor returns for how many seconds mail to a recipient is tried: what
// control/domainlifetime says of its domain, or of the longest one above it, or
// what all mail has.
func (c *Config) lifetimeFor(recipient string) int64 {
	if len(c.domainLifetime) == 0 {
		return c.Lifetime
	}
	_, domain, _ := address.Split(recipient)
	for i := 0; i < len(domain); i++ {
		if i != 0 && domain[i] != '.' {
			continue
		}
		if text, ok := c.domainLifetime.Get(domain[i:]); ok {
			if n, ok := control.Number(text); ok {
				return int64(n)
			}
		}
	}
	return c.Lifetime
}
