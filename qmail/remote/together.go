package remote

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// patience is how long recipients gather while another transaction with the
// same message is under way to their host.
const patience = 100 * time.Millisecond

// occasion is what recipients have in common who may get a message in one
// transaction.
type occasion struct {
	device, inode uint64 // of the message
	sender        string
	config        *Config
	source        source
	route         string // every address that may be tried, with all that matters about it
	unicode       bool   // recipients whom not every host can be told
}

// routeOf writes targets down; the order of those that are equally good does
// not matter.
func routeOf(targets []target) string {
	lines := make([]string, len(targets))
	for i, t := range targets {
		lines[i] = strings.Join([]string{strconv.Itoa(t.pref), t.addr.String(), strconv.Itoa(int(t.port)), t.name,
			t.login.User, t.login.Password}, "\x00")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// party are the recipients of a transaction. Until it begins others may join.
type party struct {
	occasion
	leader *job
	jobs   []*job // with the leader's
	watch  *watch
	most   int           // recipients
	full   chan struct{} // closed when there are that many
	begun  bool
	over   chan struct{} // closed when the transaction has ended
}

// join has a job join a party for the occasion. It returns the party that the
// job is to lead, nil if there is one already.
func (p *depot) join(o occasion, j *job) *party {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.gathering[o]; g != nil {
		g.jobs = append(g.jobs, j)
		j.watch = g.watch
		if len(g.jobs) >= g.most {
			delete(p.gathering, o)
			close(g.full)
		}
		return nil
	}
	g := &party{
		occasion: o, leader: j, jobs: []*job{j}, watch: j.watch, most: o.config.Together,
		full: make(chan struct{}), over: make(chan struct{}),
	}
	if g.most > 1 && !j.alone {
		p.gathering[o] = g
	}
	return g
}

// gather waits while others may come: the host is busy with the same message.
func (p *depot) gather(g *party) {
	p.mu.Lock()
	before := p.flights[g.occasion]
	p.mu.Unlock()
	if before == nil || g.leader.alone {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-before.over:
	case <-g.full:
	case <-timer.C:
	}
}

// begin ends the gathering and returns the recipients. A host that takes one
// command at a time gets each recipient by himself, as from qmail: nothing is
// gained by letting all wait for each other.
func (p *depot) begin(g *party, pipelining bool) []*recipient {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disband(g)
	if !pipelining {
		for _, j := range g.jobs[1:] {
			j.alone = true
			j.watch = &watch{}
			go p.deliver(j)
		}
		g.jobs = g.jobs[:1]
	} else {
		p.flights[g.occasion] = g
	}
	return named(g.jobs)
}

// disband lets nobody join any more.
func (p *depot) disband(g *party) {
	if g.begun {
		return
	}
	g.begun = true
	if p.gathering[g.occasion] == g {
		delete(p.gathering, g.occasion)
	}
}

// end is the end of a party's transaction: the next one may begin.
func (p *depot) end(g *party) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disband(g)
	if p.flights[g.occasion] == g {
		delete(p.flights, g.occasion)
	}
	close(g.over)
}
