package callout

import (
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/remote"
)

// settings are the entries of control/rcptcallout, "name:seconds".
type settings struct {
	accepted    int64         // how long it is remembered that a recipient exists
	refused     int64         // … that he does not
	unreachable int64         // after how long without a destination mail is refused
	timeout     time.Duration // for one recipient
}

func parseSettings(entries []string) settings {
	given := control.Pairs(entries)
	seconds := func(name string, otherwise int64) int64 {
		value, _ := given.Get(name)
		if n, ok := control.Number(value); ok && n >= 0 {
			return int64(n)
		}
		return otherwise
	}
	const hour, day = 60 * 60, 24 * 60 * 60
	return settings{
		accepted:    seconds("accepted", 96*hour),
		refused:     seconds("refused", 2*hour),
		unreachable: seconds("unreachable", 4*day),
		timeout:     time.Duration(seconds("timeout", 30)) * time.Second,
	}
}

// rules say which recipients are asked for, and how.
type rules struct {
	known   control.Map // rcptcalloutknown
	locals  control.Map
	virtual control.Map
	hack    control.Map // percenthack
	remote  *remote.Config
}

func readRules(home string) (*rules, error) {
	d, err := control.Open(home + "/control")
	if err != nil {
		return nil, err
	}
	lists := map[control.Name][]string{}
	for _, name := range []control.Name{control.RcptCalloutKnown, control.Locals, control.VirtualDomains, control.PercentHack} {
		if lists[name], _, err = d.List(name); err != nil {
			return nil, err
		}
	}
	config, err := remote.ReadConfig(home + "/control")
	if err != nil {
		return nil, err
	}
	return &rules{
		known:   control.Set(lists[control.RcptCalloutKnown]),
		locals:  control.Set(lists[control.Locals]),
		virtual: control.Pairs(lists[control.VirtualDomains]),
		hack:    control.Set(lists[control.PercentHack]),
		remote:  config,
	}, nil
}

// relayed reports whether an address is another host's, and none that is
// listed with "@domain".
func (r *rules) relayed(addr string) bool {
	_, domain, ok := address.Split(addr)
	if !ok || domain == "" || r.locals.Has(domain) || r.hack.Has(domain) || r.known.Has("@"+domain) {
		return false
	}
	prefix, ok := r.virtual.Get(addr)
	if !ok {
		prefix, _ = r.virtual.Domain(domain)
	}
	return prefix == ""
}
